/* What the Python types with the protocol of a coroutine share. */
#include "api/coroutine.h"

PyObject *hn_coroutine_send(PyObject *self, PyObject *value)
{
    PyObject *result;
    PySendResult sent = PyIter_Send(self, value, &result);
    if (sent != PYGEN_RETURN)
        return sent == PYGEN_NEXT ? result : NULL;
    PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, result);
    Py_DECREF(result);
    if (stop != NULL) {
        PyErr_SetObject(PyExc_StopIteration, stop);
        Py_DECREF(stop);
    }
    return NULL;
}

PyObject *hn_coroutine_next(PyObject *self)
{
    return hn_coroutine_send(self, Py_None);
}

PyObject *hn_coroutine_throw(PyObject *coroutine, PyObject *args)
{
    PyObject *method = PyObject_GetAttrString(coroutine, "throw");
    PyObject *step = method == NULL ? NULL : PyObject_Call(method, args, NULL);
    Py_XDECREF(method);
    return step;
}
