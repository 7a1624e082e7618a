/* The one timer of an event loop's operations: it expires at the earliest time that one of them
 * waits for. With uvloop a timer for each costs 4 us, more than all else that a wait needs, and
 * nearly none expires. GIL held in all functions, in the loop's thread. */
#ifndef HN_LOOP_TIMER_H
#define HN_LOOP_TIMER_H

#include "native.h"

typedef struct hn_loop_timer {
    PyObject *handle; /* the loop's, or NULL while it is not set */
    PyObject *owner;  /* a capsule around this timer, without a reference to it */
    hn_time at;
    /* Called when it expires: 0, or -1 with an exception. */
    int (*expired)(struct hn_loop_timer *timer);
} hn_loop_timer;

/* Has expired() called at `when` or soon after, unless it will be earlier. 0, or -1 with an
 * exception. */
int hn_loop_timer_set(hn_loop_timer *timer, PyObject *loop, hn_time when);

/* The timer's owner goes. */
void hn_loop_timer_drop(hn_loop_timer *timer);

#endif
