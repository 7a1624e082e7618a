/* Waking tasks whose outcome is there. */
#include "awaited/wakeups.h"

#include "awaited/loop.h"
#include "error.h"

/* Those that are being run. Another thread's may have taken the place of this one's. */
static hn_wakeups *running;

int hn_wakeups_add(hn_wakeups *wakeups, hn_future *future)
{
    if (!hn_future_finish(future))
        return 0;
    if (wakeups->are_collected) {
        hn_futures_add(&wakeups->futures, future);
        return 0;
    }
    if (hn_future_notify_soon(future) == 0)
        return 0;
    if (!PyErr_ExceptionMatches(PyExc_MemoryError)) {
        PyErr_WriteUnraisable((PyObject *)future);
        return 0;
    }
    PyErr_Clear(); /* else the task would wait for ever: tried again in the next callback */
    hn_futures_add(&wakeups->futures, future);
    return -1;
}

PyObject *hn_wakeups_run(hn_wakeups *wakeups, PyObject *loop)
{
    if (wakeups->futures.first == NULL)
        return NULL;
    int by_loop = PyErr_CheckSignals() < 0 ? -1 : hn_loop_steps_itself(loop);
    if (by_loop < 0)
        return hn_exception_take();
    PyObject *exception = NULL;
    hn_future *future;
    while (exception == NULL && (future = hn_futures_take(&wakeups->futures)) != NULL) {
        running = wakeups;
        if ((by_loop ? hn_future_notify_soon(future) : hn_future_notify(future)) < 0)
            exception = hn_exception_take();
        if (exception != NULL && hn_future_is_due(future))
            hn_futures_put_back(&wakeups->futures, future);
        Py_DECREF(future);
    }
    if (running == wakeups)
        running = NULL;
    return exception;
}

void *hn_wakeups_running(void)
{
    return running == NULL ? NULL : running->owner;
}
