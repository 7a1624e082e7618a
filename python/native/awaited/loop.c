/* The calls of an event loop like asyncio's. */
#include "awaited/loop.h"

#include "error.h"

/* clang-format off */
#define NAMES(X)                                                                                   \
    X(add_reader) X(call_soon) X(call_soon_threadsafe) X(context)                                  \
    X(get_debug) X(is_running) X(_nest_patched)
/* clang-format on */

#define X(name) static PyObject *str_##name; /* interned, kept for good */
NAMES(X)
#undef X

int hn_loop_ready(void)
{
#define X(name)                                                                                    \
    if (str_##name == NULL && (str_##name = PyUnicode_InternFromString(#name)) == NULL)            \
        return -1;
    NAMES(X)
#undef X
    return 0;
}

/* asyncio's, never dropped; imported when the first operation is awaited. */
static PyObject *get_running_loop, *current_task, *cancelled_error;

static int import_asyncio(void)
{
    PyObject *asyncio = PyImport_ImportModule("asyncio");
    if (asyncio == NULL)
        return -1;
    if (cancelled_error == NULL)
        cancelled_error = PyObject_GetAttrString(asyncio, "CancelledError");
    if (current_task == NULL)
        current_task = PyObject_GetAttrString(asyncio, "current_task");
    if (cancelled_error != NULL && current_task != NULL)
        get_running_loop = PyObject_GetAttrString(asyncio, "_get_running_loop");
    Py_DECREF(asyncio);
    return get_running_loop == NULL ? -1 : 0;
}

PyObject *hn_loop_running(void)
{
    if (get_running_loop == NULL && import_asyncio() < 0)
        return NULL;
    PyObject *loop = PyObject_CallNoArgs(get_running_loop);
    if (loop != Py_None)
        return loop;
    Py_DECREF(loop);
    hn_raise("InterfaceError", "no asyncio event loop runs in this thread: await the session in a "
                               "coroutine that asyncio runs, or use db()");
    return NULL;
}

int hn_loop_runs_here(void)
{
    if (get_running_loop == NULL) {
        PyObject *name = PyUnicode_FromString("asyncio");
        PyObject *asyncio = name == NULL ? NULL : PyImport_GetModule(name);
        Py_XDECREF(name);
        if (asyncio == NULL)
            return PyErr_Occurred() ? -1 : 0; /* it is not imported, so no loop runs */
        Py_DECREF(asyncio);
        if (import_asyncio() < 0)
            return -1;
    }
    PyObject *loop = PyObject_CallNoArgs(get_running_loop);
    Py_XDECREF(loop);
    return loop == NULL ? -1 : loop != Py_None;
}

PyObject *hn_loop_task(void)
{
    PyObject *task = PyObject_CallNoArgs(current_task);
    if (task == NULL)
        PyErr_Clear();
    return task;
}

int hn_loop_watch(PyObject *loop, int fd, PyObject *callable)
{
    PyObject *number = PyLong_FromLong(fd);
    if (number == NULL)
        return -1;
    PyObject *returned = PyObject_CallMethodObjArgs(loop, str_add_reader, number, callable, NULL);
    Py_DECREF(number);
    Py_XDECREF(returned);
    if (returned != NULL)
        return 0;
    if (!PyErr_ExceptionMatches(PyExc_NotImplementedError) &&
        !PyErr_ExceptionMatches(PyExc_AttributeError))
        return -1;
    PyErr_Clear();
    return hn_raise("InterfaceError",
                    "this event loop (%s) cannot watch a socket: it has no "
                    "add_reader(); use asyncio's own loop or uvloop",
                    Py_TYPE(loop)->tp_name);
}

int hn_loop_soon(PyObject *loop, PyObject *callable, bool here)
{
    PyObject *returned = PyObject_CallMethodObjArgs(
        loop, here ? str_call_soon : str_call_soon_threadsafe, callable, Py_None, NULL);
    Py_XDECREF(returned);
    return returned == NULL ? -1 : 0;
}

int hn_loop_soon_in(PyObject *loop, PyObject *callable, PyObject *argument, PyObject *context)
{
    static PyObject *names; /* kept for good */
    if (names == NULL && (names = PyTuple_Pack(1, str_context)) == NULL)
        return -1;
    PyObject *args[] = {loop, callable, argument, context};
    PyObject *returned = PyObject_VectorcallMethod(str_call_soon, args, 3, names);
    Py_XDECREF(returned);
    return returned == NULL ? -1 : 0;
}

void hn_loop_raise_cancelled(PyObject *message)
{
    PyObject *exception = message == NULL ? PyObject_CallNoArgs(cancelled_error)
                                          : PyObject_CallOneArg(cancelled_error, message);
    if (exception != NULL)
        PyErr_SetObject(cancelled_error, exception);
    Py_XDECREF(exception);
}

#if PY_VERSION_HEX < 0x030d0000
#define PyObject_GetOptionalAttr _PyObject_LookupAttr
#endif

int hn_loop_steps_itself(PyObject *loop)
{
    PyObject *returned;
    int is_nested = PyObject_GetOptionalAttr(loop, str__nest_patched, &returned);
    if (is_nested == 0)
        returned = PyObject_CallMethodNoArgs(loop, str_get_debug);
    int is_true = returned == NULL ? -1 : PyObject_IsTrue(returned);
    Py_XDECREF(returned);
    return is_true;
}

bool hn_loop_is_running(PyObject *loop)
{
    PyObject *running = PyObject_CallMethodNoArgs(loop, str_is_running);
    if (running == NULL)
        PyErr_WriteUnraisable(loop);
    Py_XDECREF(running);
    return running != Py_False;
}
