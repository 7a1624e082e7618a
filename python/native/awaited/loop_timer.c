/* The one timer of an event loop's operations. */
#include "awaited/loop_timer.h"

#include "awaited/loop.h"

static PyObject *expire(PyObject *owner, PyObject *unused)
{
    (void)unused;
    hn_loop_timer *timer = PyCapsule_GetContext(owner);
    if (timer == NULL)
        Py_RETURN_NONE; /* its owner has gone */
    Py_CLEAR(timer->handle);
    if (timer->expired(timer) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef expire_method = {"expire", expire, METH_NOARGS, NULL};

/* A capsule needs a pointer that is not NULL; the timer is its context, which can be taken away. */
static PyObject *own(hn_loop_timer *timer)
{
    PyObject *owner = PyCapsule_New(&expire_method, NULL, NULL);
    if (owner != NULL && PyCapsule_SetContext(owner, timer) < 0)
        Py_CLEAR(owner);
    return owner;
}

int hn_loop_timer_set(hn_loop_timer *timer, PyObject *loop, hn_time when)
{
    if (timer->handle != NULL && timer->at <= when)
        return 0;
    if (timer->owner == NULL && (timer->owner = own(timer)) == NULL)
        return -1;
    PyObject *callable = PyCFunction_New(&expire_method, timer->owner);
    if (callable == NULL)
        return -1;
    PyObject *handle = hn_loop_call_later(loop, when, callable);
    Py_DECREF(callable);
    if (handle == NULL)
        return -1;
    if (timer->handle != NULL && timer->at <= when) { /* Python code of the loop's has set it */
        hn_loop_cancel_handle(handle);
        return 0;
    }
    PyObject *before = timer->handle;
    timer->handle = handle;
    timer->at = when;
    if (before != NULL)
        hn_loop_cancel_handle(before);
    return 0;
}

void hn_loop_timer_drop(hn_loop_timer *timer)
{
    if (timer->owner != NULL)
        PyCapsule_SetContext(timer->owner, NULL);
    Py_CLEAR(timer->owner);
    /* Not cancelled: its loop may be garbage, too, and half taken apart. It expires without
     * effect. */
    Py_CLEAR(timer->handle);
}
