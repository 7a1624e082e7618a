/* What a task waits for while its operation runs: a future that asyncio's tasks accept. */
#include "awaited/future.h"

#include "awaited/loop.h"
#include "error.h"

PyTypeObject *hn_future_type;

hn_future *hn_future_new(PyObject *loop)
{
    hn_future *self = (hn_future *)hn_future_type->tp_alloc(hn_future_type, 0);
    if (self != NULL) {
        self->loop = Py_NewRef(loop);
        self->blocking = 1;
    }
    return self;
}

bool hn_future_finish(hn_future *self)
{
    if (self->state != HN_PENDING)
        return false;
    self->state = HN_FINISHED;
    return self->callback != NULL;
}

bool hn_future_is_due(const hn_future *self)
{
    return self->state != HN_PENDING && self->callback != NULL;
}

int hn_future_notify_soon(hn_future *self)
{
    PyObject *callback = self->callback, *context = self->context;
    self->callback = self->context = NULL;
    if (hn_loop_soon_in(self->loop, callback, (PyObject *)self, context) < 0) {
        self->callback = callback;
        self->context = context;
        return -1;
    }
    Py_DECREF(callback);
    Py_DECREF(context);
    return 0;
}

int hn_future_notify(hn_future *self)
{
    if (PyContext_Enter(self->context) < 0) { /* it is entered already */
        PyErr_Clear();
        return hn_future_notify_soon(self);
    }
    PyObject *callback = self->callback, *context = self->context;
    self->callback = self->context = NULL;
    PyObject *returned = PyObject_CallOneArg(callback, (PyObject *)self);
    PyObject *exception = returned == NULL ? hn_exception_take() : NULL;
    Py_XDECREF(returned);
    if (PyContext_Exit(context) < 0)
        PyErr_WriteUnraisable(callback);
    Py_DECREF(callback);
    Py_DECREF(context);
    if (exception == NULL)
        return 0;
    hn_exception_raise(exception);
    return -1;
}

void hn_futures_add(hn_futures *futures, hn_future *future)
{
    Py_INCREF(future);
    if (futures->last == NULL)
        futures->first = future;
    else
        futures->last->next = future;
    futures->last = future;
}

void hn_futures_put_back(hn_futures *futures, hn_future *future)
{
    Py_INCREF(future);
    future->next = futures->first;
    futures->first = future;
    if (futures->last == NULL)
        futures->last = future;
}

hn_future *hn_futures_take(hn_futures *futures)
{
    hn_future *future = futures->first;
    if (future == NULL)
        return NULL;
    futures->first = future->next;
    if (futures->first == NULL)
        futures->last = NULL;
    future->next = NULL;
    return future;
}

int hn_futures_traverse(const hn_futures *futures, visitproc visit, void *arg)
{
    for (hn_future *future = futures->first; future != NULL; future = future->next)
        Py_VISIT(future);
    return 0;
}
