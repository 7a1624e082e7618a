/* A coroutine of hypern._awaiting that runs in the task which awaits an operation. */
#include "awaited/feeder.h"

PyObject *hn_feeder_module(void)
{
    static PyObject *module; /* never dropped */
    if (module == NULL)
        module = PyImport_ImportModule("hypern._awaiting");
    return module;
}

int hn_feeder_begin(hn_feeder *self, const char *function, PyObject *argument)
{
    PyObject *module = hn_feeder_module();
    if (module != NULL)
        self->coroutine = PyObject_CallMethod(module, function, "O", argument);
    return self->coroutine == NULL ? -1 : 0;
}

PySendResult hn_feeder_send(hn_feeder *self, PyObject *value, PyObject **result)
{
    PySendResult sent = PyIter_Send(self->coroutine, value, result);
    Py_XSETREF(self->supply, sent == PYGEN_NEXT ? Py_NewRef(*result) : NULL);
    if (sent != PYGEN_NEXT)
        Py_CLEAR(self->coroutine);
    return sent;
}

PyObject *hn_feeder_throw(hn_feeder *self, PyObject *args)
{
    PyObject *method = PyObject_GetAttrString(self->coroutine, "throw");
    PyObject *supply = method == NULL ? NULL : PyObject_Call(method, args, NULL);
    Py_XDECREF(method);
    Py_XSETREF(self->supply, Py_XNewRef(supply));
    if (supply == NULL)
        Py_CLEAR(self->coroutine);
    return supply;
}

PyObject *hn_feeder_stop(hn_feeder *self, PyObject *value)
{
    PyObject *supply = NULL;
    if (self->stopped) {
        if (hn_feeder_send(self, value, &supply) != PYGEN_NEXT)
            Py_CLEAR(supply);
    } else {
        self->stopped = true;
        PyObject *module = hn_feeder_module();
        PyObject *reason =
            module == NULL ? NULL : PyObject_CallMethod(module, "stop_feeding", NULL);
        PyObject *args = reason == NULL ? NULL : PyTuple_Pack(1, reason);
        supply = args == NULL ? NULL : hn_feeder_throw(self, args);
        Py_XDECREF(args);
        Py_XDECREF(reason);
    }
    if (supply == NULL)
        PyErr_Clear(); /* the outcome is the operation's own */
    return supply;
}

void hn_feeder_interrupt(hn_feeder *self)
{
    if (self->supply == NULL || self->supply == Py_None) /* the task runs on by itself */
        return;
    PyObject *cancelled = PyObject_CallMethod(self->supply, "cancel", NULL);
    self->interrupted = cancelled == Py_True; /* False: it has just come */
    if (cancelled == NULL)
        PyErr_WriteUnraisable(self->supply);
    Py_XDECREF(cancelled);
}

int hn_feeder_close(hn_feeder *self)
{
    PyObject *coroutine = self->coroutine;
    if (coroutine == NULL)
        return 0;
    self->coroutine = NULL;
    PyObject *closed = PyObject_CallMethod(coroutine, "close", NULL);
    Py_DECREF(coroutine);
    Py_XDECREF(closed);
    return closed == NULL ? -1 : 0;
}

int hn_feeder_traverse(const hn_feeder *self, visitproc visit, void *arg)
{
    Py_VISIT(self->coroutine);
    Py_VISIT(self->supply);
    return 0;
}

void hn_feeder_clear(hn_feeder *self)
{
    Py_CLEAR(self->coroutine);
    Py_CLEAR(self->supply);
}
