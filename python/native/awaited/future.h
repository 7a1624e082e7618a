/* What a task waits for while its operation runs: a future that asyncio's tasks accept.
 *
 * asyncio's own has its loop call the task later: a handle, a place in the loop's queue and a turn
 * of it for each statement, which is a tenth of the client's work for one. Where no other task is
 * being run (in the reactor's callback) the task is stepped straight from the wake-up. The protocol
 * is the one of Future-like objects (https://docs.python.org/3/library/asyncio-future.html): an
 * object with
 * `_asyncio_future_blocking` may be yielded to a task. GIL held, in the loop's thread.
 */
#ifndef HN_FUTURE_H
#define HN_FUTURE_H

#include "native.h"

typedef struct hn_future {
    PyObject_HEAD
    PyObject *loop;
    PyObject *callback; /* the task's; NULL if there is none yet, or it has been called */
    PyObject *context;  /* to call it in */
    PyObject *message;  /* CANCELLED: what cancel() was given; or NULL */
    enum { HN_PENDING, HN_FINISHED, HN_CANCELLED } state;
    char blocking;          /* as a task requires: it is awaited, not yielded by mistake */
    struct hn_future *next; /* in a list of hn_futures */
} hn_future;

/* Those to be finished, in the order of their outcomes; references. */
typedef struct hn_futures {
    hn_future *first, *last;
} hn_futures;

/* Made by api/future.c. */
extern PyTypeObject *hn_future_type;

/* A new future, in the state in which a task is given it; NULL with an exception. */
hn_future *hn_future_new(PyObject *loop);

/* What was waited for is there. Whether a task is to be woken: not where its wait is cancelled. */
bool hn_future_finish(hn_future *future);

/* Steps the task that waits: in a later turn of the loop, or at once. 0, or -1 with an exception of
 * the loop's, or with one that ends it (KeyboardInterrupt, SystemExit). Where memory was too short
 * to schedule the step, the future is still due, and can be notified later. */
int hn_future_notify_soon(hn_future *future);
int hn_future_notify(hn_future *future);

bool hn_future_is_due(const hn_future *future);

void hn_futures_add(hn_futures *futures, hn_future *future);
void hn_futures_put_back(hn_futures *futures, hn_future *future); /* the first to be taken again */
hn_future *hn_futures_take(hn_futures *futures); /* a reference; NULL if there is none */
int hn_futures_traverse(const hn_futures *futures, visitproc visit, void *arg);

#endif
