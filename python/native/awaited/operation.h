/* An awaited operation: one engine that an event loop drives, from its turn to its outcome.
 *
 * It begins when it is first awaited. From its turn to its outcome it holds its session's lock, and
 * its loop's reactor goes on with it whenever it can; the task that awaits it is woken once, when
 * the outcome is there. What follows from the outcome (the observer, on_commit functions) happens
 * in that task. A task that is cancelled leaves it detached: it is then ended in the background, on
 * the server too, and gives the lock when that is done.
 *
 * GIL held in all functions. An operation belongs to its loop's thread, but for the turn it is
 * granted and for a thread that has to drive it.
 */
#ifndef HN_OPERATION_H
#define HN_OPERATION_H

#include "awaited/outcome.h"
#include "awaited/reactor.h"
#include "awaited/transitions.h"
#include "drive/driver.h"
#include "native.h"
#include "session/view.h"

typedef struct hn_operation {
    PyObject_HEAD
    hn_view *session;   /* a reference */
    PyObject *returns;  /* what the caller gets in place of None; or NULL */
    hn_request request; /* with references */
    hn_time timeout;    /* from its beginning; HN_NEVER */

    hn_phase phase;
    bool is_detached;     /* it has a reference on itself then */
    unsigned long inside; /* the thread that is going on with it right now; 0 if none is */
    hn_waiter turn;       /* in the session's queue */
    hn_entry entry;       /* in the reactor of its loop */
    hn_driver driver;     /* engine: NULL before RUNNING; limit: also of the wait for its turn */
    PyObject *context;    /* MANY: the task's, for the iterable; or NULL */
    PyObject *feeder;     /* MANY: the task, while it collects rows; or NULL */
    bool has_cancelled;   /* feeder was cancelled: the operation's time has passed */
    PyObject *settling;   /* SETTLING: the coroutine that calls the on_commit functions; or NULL */
    hn_future *future;    /* what the task waits for; or NULL */
    hn_outcome outcome;
} hn_operation;

#endif
