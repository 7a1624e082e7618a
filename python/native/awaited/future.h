/* What a task waits for while its operation runs: a future, as asyncio's tasks know them, of ours.
 *
 * asyncio's own has its loop call the task later: a handle, a place in the loop's queue and a turn of
 * it for each statement, a tenth of what the client does for one. Where no other task is being run
 * (in the watcher's callback) ours is stepped straight from the wake-up. The protocol is the one of
 * Future-like objects (https://docs.python.org/3/library/asyncio-future.html): whatever has
 * `_asyncio_future_blocking` may be yielded to a task. GIL held, in the loop's thread.
 */
#ifndef HN_FUTURE_H
#define HN_FUTURE_H

#include "native.h"

typedef struct hn_future hn_future;

/* To be woken, in the order of their outcomes; references. */
typedef struct hn_futures {
    hn_future *first, *last;
} hn_futures;

int hn_future_type_ready(void);

/* A new one, as awaiting it yields it; NULL with an exception. */
hn_future *hn_future_new(PyObject *loop);

/* What was waited for is there. Whether somebody is to be told: not where that wait is cancelled. */
bool hn_future_finish(hn_future *future);

/* Tell him: in a turn of the loop's own, or at once. 0, or -1 with the exception: of the loop's, or
 * one that is to end it (KeyboardInterrupt, SystemExit). Where the loop could not be asked (memory was
 * short) the future is still due: he has not been told, and can be later. */
int hn_future_notify_soon(hn_future *future);
int hn_future_notify(hn_future *future);

bool hn_future_is_due(const hn_future *future);

void hn_futures_add(hn_futures *futures, hn_future *future);
void hn_futures_put_back(hn_futures *futures, hn_future *future); /* the first to be taken again */
hn_future *hn_futures_take(hn_futures *futures); /* a reference; NULL: none */
int hn_futures_traverse(const hn_futures *futures, visitproc visit, void *arg);

#endif
