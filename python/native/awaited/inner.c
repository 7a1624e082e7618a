/* The coroutine of ours that runs in the task which awaits an operation. */
#include "awaited/inner.h"

/* hypern._awaiting, borrowed. */
PyObject *hn_inner_helpers(void)
{
    static PyObject *module; /* kept for good */
    if (module == NULL)
        module = PyImport_ImportModule("hypern._awaiting");
    return module;
}

/* Run the inner coroutine on. What Python code in it does with the session cannot wait. */
PySendResult hn_inner_send(hn_operation *self, PyObject *value, PyObject **result)
{
    bool feeds = self->life == HN_LIFE_RUNNING;
    if (feeds)
        self->inside = PyThread_get_thread_ident();
    PySendResult sent = PyIter_Send(self->inner, value, result);
    if (feeds)
        self->inside = 0;
    Py_XSETREF(self->supply, sent == PYGEN_NEXT ? Py_NewRef(*result) : NULL);
    if (sent != PYGEN_NEXT)
        Py_CLEAR(self->inner);
    return sent;
}

/* Go on with the coroutine that collects rows, and give it what it has collected. Whether the task
 * has to wait for that. */
bool hn_inner_feed(hn_operation *self, PyObject *value, PyObject **result)
{
    PyObject *module = self->inner == NULL ? hn_inner_helpers() : NULL;
    if (module != NULL)
        self->inner = PyObject_CallMethod(module, "take_rows", "O", self->rows);
    PySendResult sent = PYGEN_ERROR;
    if (self->inner != NULL)
        sent = hn_inner_send(self, value, result);
    if (sent == PYGEN_NEXT)
        return true;
    PyObject *answer = *result;
    *result = NULL;
    if (sent == PYGEN_ERROR)
        hn_operation_feed(self, NULL, false);
    else
        hn_operation_feed(self, PyTuple_GET_ITEM(answer, 0),
                          PyTuple_GET_ITEM(answer, 1) == Py_True);
    Py_XDECREF(answer);
    return false;
}

/* What the inner coroutine makes of it, that is what the task is to wait for; NULL: it has ended. */
PyObject *hn_inner_throw(hn_operation *self, PyObject *args)
{
    bool feeds = self->life == HN_LIFE_RUNNING;
    PyObject *method = PyObject_GetAttrString(self->inner, "throw");
    if (feeds)
        self->inside = PyThread_get_thread_ident();
    PyObject *answer = method == NULL ? NULL : PyObject_Call(method, args, NULL);
    if (feeds)
        self->inside = 0;
    Py_XDECREF(method);
    Py_XSETREF(self->supply, Py_XNewRef(answer));
    if (answer == NULL)
        Py_CLEAR(self->inner);
    return answer;
}

/* What the task waits for is cancelled, as by asyncio.timeout, but not the task, which goes on. */
void hn_inner_interrupt(hn_operation *self)
{
    if (self->supply == NULL || self->supply == Py_None) /* the task runs on by itself */
        return;
    PyObject *answer = PyObject_CallMethod(self->supply, "cancel", NULL);
    self->interrupted = answer == Py_True; /* False: it is there just now */
    if (answer == NULL)
        PyErr_WriteUnraisable(self->supply);
    Py_XDECREF(answer);
}

/* Its time ran out while rows were collected for it: whoever makes them is told. Whether the task has
 * to wait for that. */
bool hn_inner_stop_feeding(hn_operation *self, PyObject *value, PyObject **result)
{
    if (self->told) {
        if (hn_inner_send(self, value, result) == PYGEN_NEXT)
            return true;
        Py_CLEAR(*result);
        PyErr_Clear();
        return false;
    }
    self->told = true;
    PyObject *module = hn_inner_helpers();
    PyObject *reason = module == NULL ? NULL : PyObject_CallMethod(module, "stop_feeding", NULL);
    PyObject *args = reason == NULL ? NULL : PyTuple_Pack(1, reason);
    *result = args == NULL ? NULL : hn_inner_throw(self, args);
    Py_XDECREF(args);
    Py_XDECREF(reason);
    PyErr_Clear(); /* the outcome is the operation's own */
    return *result != NULL;
}
