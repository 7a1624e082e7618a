/* The one timer of an event loop's operations: a timerfd in the reactor's epoll.
 *
 * A timer of the loop that is pending, though hardly one expires, has the kernel set its clock in
 * each of the loop's waits: an awaited request, whose COMMIT has a limit, took 1.06 as long on a
 * virtual machine.
 */
#ifndef HN_CLOCK_H
#define HN_CLOCK_H

#include "native.h"

typedef struct hn_clock {
    int fd;
    hn_time at; /* when it is set to expire, or HN_NEVER */
} hn_clock;

/* Opens it. 0, or -1 with an exception. */
int hn_clock_open(hn_clock *clock);

/* Has it expire at that time, unless it does so earlier. 0, or -1 with an exception. */
int hn_clock_set(hn_clock *clock, hn_time when);

/* Its descriptor is readable: whether it has expired. Then it is not set any more. */
bool hn_clock_has_expired(hn_clock *clock);

#endif
