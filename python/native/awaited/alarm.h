/* The one timer of a loop's operations: it rings at the earliest time that one of them waits for. With
 * uvloop a timer for each costs 4 us, more than all else that a wait needs, and nearly none ever rings.
 * GIL held in all functions. */
#ifndef HN_ALARM_H
#define HN_ALARM_H

#include "native.h"

typedef struct hn_watcher hn_watcher; /* watcher.h */

typedef struct hn_alarm {
    PyObject *handle; /* the loop's; NULL: it is not set */
    PyObject *owner;  /* a capsule around the watcher, without a reference to it */
    hn_time at;
} hn_alarm;

/* Have hn_operation_late() called at `when`, or soon after, for an operation that is due by then.
 * 0, or -1 with an exception. */
int hn_alarm_set(hn_watcher *watcher, hn_time when);

/* The watcher goes. */
void hn_alarm_drop(hn_watcher *watcher);

#endif
