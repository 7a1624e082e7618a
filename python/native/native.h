/* What every file of hypern._native shares: Python, the names of its objects, and time. */
#ifndef HN_NATIVE_H
#define HN_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "hypern_abi.h"

/* Nanoseconds of the monotonic clock. */
typedef int64_t hn_time;
#define HN_MS ((hn_time)1000000)
#define HN_NEVER INT64_MAX

static inline hn_time hn_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (hn_time)t.tv_sec * 1000 * HN_MS + t.tv_nsec;
}

/* Milliseconds until a time, rounded up, 0 when it has passed; at most `most`. */
static inline int hn_ms_until(hn_time when, int most)
{
    if (when == HN_NEVER)
        return most;
    hn_time left = when - hn_now();
    if (left <= 0)
        return 0;
    left = (left + HN_MS - 1) / HN_MS;
    return left < most ? (int)left : most;
}

/* How often a wait looks up: a signal that lands between releasing the GIL and the system call
 * gives no EINTR, and is seen at the next tick. */
#define HN_TICK_MS 100

#endif
