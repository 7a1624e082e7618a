/* Telling tasks that what they wait for is there, at the end of their watcher's callback. */
#include "awaited/telling.h"

#include "awaited/loop.h"
#include "core/core.h"
#include "error.h"

/* The watcher whose tasks are being told, in its thread. asyncio would have to be asked for the loop that
 * runs there, and asks the kernel for the process each time. Another thread's may have taken its place. */
static hn_watcher *telling;

void hn_telling_add(hn_watcher *watcher, hn_future *future)
{
    if (!hn_future_finish(future))
        return;
    if (watcher->is_called)
        hn_futures_add(&watcher->woken, future);
    else if (hn_future_tell_soon(future) == 0)
        return;
    else if (PyErr_ExceptionMatches(PyExc_MemoryError)) {
        PyErr_Clear(); /* a task that is not told would wait for ever: once more, in the next callback */
        hn_futures_add(&watcher->woken, future);
        if (hn_watcher_again(watcher) < 0)
            PyErr_WriteUnraisable((PyObject *)watcher);
    } else {
        PyErr_WriteUnraisable((PyObject *)future);
    }
}

PyObject *hn_telling_run(hn_watcher *watcher)
{
    hn_future *future = watcher->woken.first;
    if (future == NULL)
        return NULL;
    int by_loop = PyErr_CheckSignals() < 0 ? -1 : hn_loop_steps_itself(watcher->loop);
    if (by_loop < 0)
        return hn_exception_take();
    PyObject *exception = NULL;
    while (exception == NULL && (future = hn_futures_take(&watcher->woken)) != NULL) {
        telling = watcher;
        if ((by_loop ? hn_future_tell_soon(future) : hn_future_tell(future)) < 0)
            exception = hn_exception_take();
        if (exception != NULL && hn_future_is_due(future))
            hn_futures_put_back(&watcher->woken, future);
        Py_DECREF(future);
    }
    if (telling == watcher)
        telling = NULL;
    return exception;
}

hn_watcher *hn_telling_here(void)
{
    bool is_here = telling != NULL && telling->thread == PyThread_get_thread_ident() &&
                   telling->generation == hn_core_generation();
    return is_here ? telling : NULL;
}
