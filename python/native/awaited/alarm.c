/* The one timer of a loop's operations. */
#include "awaited/alarm.h"

#include "awaited/loop.h"
#include "awaited/operation.h"
#include "awaited/watcher.h"
#include "core/core.h"
#include "error.h"

static hn_operation *first_due(const hn_watcher *watcher)
{
    hn_operation *first = watcher->operations;
    for (hn_operation *op = first; op != NULL; op = op->peer)
        if (op->due < first->due)
            first = op;
    return first;
}

static PyObject *ring(PyObject *owner, PyObject *unused)
{
    (void)unused;
    hn_watcher *watcher = PyCapsule_GetContext(owner);
    if (watcher == NULL || watcher->generation != hn_core_generation())
        Py_RETURN_NONE; /* it has gone, or is the parent's */
    Py_INCREF(watcher);
    Py_CLEAR(watcher->alarm.handle);
    hn_time now = hn_now();
    hn_operation *op;
    while ((op = first_due(watcher)) != NULL && op->due <= now) {
        op->due = HN_NEVER;
        Py_INCREF(op);
        hn_operation_late(op);
        Py_DECREF(op);
    }
    int rc = op == NULL || op->due == HN_NEVER ? 0 : hn_alarm_set(watcher, op->due);
    if (rc < 0) { /* a signal's handler may have raised in there: the others still have their time */
        PyObject *exception = hn_exception_take();
        op = first_due(watcher);
        if (op != NULL && op->due != HN_NEVER && hn_alarm_set(watcher, op->due) < 0)
            PyErr_WriteUnraisable(watcher->loop);
        hn_exception_raise(exception);
    }
    Py_DECREF(watcher);
    if (rc < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef ring_method = {"ring", ring, METH_NOARGS, NULL};

/* A capsule wants a pointer that is not NULL; the watcher is its context, which can be taken away. */
static PyObject *own(hn_watcher *watcher)
{
    PyObject *owner = PyCapsule_New(&ring_method, NULL, NULL);
    if (owner != NULL && PyCapsule_SetContext(owner, watcher) < 0)
        Py_CLEAR(owner);
    return owner;
}

int hn_alarm_set(hn_watcher *watcher, hn_time when)
{
    hn_alarm *alarm = &watcher->alarm;
    if (alarm->handle != NULL && alarm->at <= when)
        return 0;
    if (alarm->owner == NULL && (alarm->owner = own(watcher)) == NULL)
        return -1;
    PyObject *callable = PyCFunction_New(&ring_method, alarm->owner);
    if (callable == NULL)
        return -1;
    PyObject *handle = hn_loop_timer(watcher->loop, when, callable);
    Py_DECREF(callable);
    if (handle == NULL)
        return -1;
    if (alarm->handle != NULL && alarm->at <= when) { /* Python code of the loop's has set it */
        hn_loop_drop_timer(handle);
        return 0;
    }
    PyObject *before = alarm->handle;
    alarm->handle = handle;
    alarm->at = when;
    if (before != NULL)
        hn_loop_drop_timer(before);
    return 0;
}

void hn_alarm_drop(hn_watcher *watcher)
{
    hn_alarm *alarm = &watcher->alarm;
    if (alarm->owner != NULL)
        PyCapsule_SetContext(alarm->owner, NULL);
    Py_CLEAR(alarm->owner);
    /* Not cancelled: its loop may be garbage, too, and half taken apart. It rings for nobody. */
    Py_CLEAR(alarm->handle);
}
