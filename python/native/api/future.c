/* Future: what a task waits for while its operation runs, with the methods that asyncio's tasks
 * call. */
#include "api/future.h"

#include <structmember.h>

#include "awaited/future.h"
#include "awaited/loop.h"

/* What a task calls. */

/* The keyword argument `name`, the only one there may be; or NULL. -1 with an exception. */
static int keyword(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, const char *name,
                   PyObject **value)
{
    Py_ssize_t named = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    if (named > 0)
        *value = args[nargs];
    if (named == 0 ||
        (named == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), name) == 0))
        return 0;
    PyErr_Format(PyExc_TypeError, "the only keyword argument there may be is '%s'", name);
    return -1;
}

static PyObject *add_done_callback(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                                   PyObject *kwnames)
{
    hn_future *self = (hn_future *)op;
    PyObject *context = NULL;
    if (nargs != 1)
        return PyErr_Format(PyExc_TypeError, "add_done_callback() takes one argument and context");
    if (keyword(args, nargs, kwnames, "context", &context) < 0)
        return NULL;
    if (self->callback != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "another task waits for this already");
        return NULL;
    }
    context = context == NULL || context == Py_None ? PyContext_CopyCurrent() : Py_NewRef(context);
    if (context == NULL)
        return NULL;
    self->context = context;
    self->callback = Py_NewRef(args[0]);
    if (self->state != HN_PENDING && hn_future_notify_soon(self) < 0) {
        Py_CLEAR(self->callback);
        Py_CLEAR(self->context);
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *cancel(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    hn_future *self = (hn_future *)op;
    PyObject *message = nargs > 0 ? args[0] : NULL;
    if (nargs > 1)
        return PyErr_Format(PyExc_TypeError, "cancel() takes at most one argument, 'msg'");
    if (keyword(args, nargs, kwnames, "msg", &message) < 0)
        return NULL;
    if (self->state != HN_PENDING)
        Py_RETURN_FALSE;
    self->state = HN_CANCELLED;
    Py_XSETREF(self->message, message == Py_None ? NULL : Py_XNewRef(message));
    if (self->callback != NULL && hn_future_notify_soon(self) < 0) {
        self->state = HN_PENDING; /* the caller gets the exception; the task waits on */
        return NULL;
    }
    Py_RETURN_TRUE;
}

static PyObject *result(PyObject *op, PyObject *unused)
{
    (void)unused;
    hn_future *self = (hn_future *)op;
    switch (self->state) {
    case HN_FINISHED:
        Py_RETURN_NONE;
    case HN_CANCELLED:
        hn_loop_raise_cancelled(self->message);
        return NULL;
    case HN_PENDING:
    default:
        PyErr_SetString(PyExc_RuntimeError, "the result is not ready");
        return NULL;
    }
}

static PyObject *done(PyObject *op, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(((hn_future *)op)->state != HN_PENDING);
}

static PyObject *get_loop(PyObject *op, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(((hn_future *)op)->loop);
}

static PyObject *repr(PyObject *op)
{
    static const char *const words[] = {"pending", "finished", "cancelled"};
    return PyUnicode_FromFormat("<wait for a database, %s>", words[((hn_future *)op)->state]);
}

static int traverse(PyObject *op, visitproc visit, void *arg)
{
    hn_future *self = (hn_future *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->loop);
    Py_VISIT(self->callback);
    Py_VISIT(self->context);
    Py_VISIT(self->message);
    return 0;
}

/* The loop stays: a task's finalizer in the same garbage may still use it. */
static int clear(PyObject *op)
{
    hn_future *self = (hn_future *)op;
    Py_CLEAR(self->callback);
    Py_CLEAR(self->context);
    Py_CLEAR(self->message);
    return 0;
}

static void dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    clear(op);
    Py_CLEAR(((hn_future *)op)->loop);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"add_done_callback", (PyCFunction)(void (*)(void))add_done_callback,
     METH_FASTCALL | METH_KEYWORDS, NULL},
    {"cancel", (PyCFunction)(void (*)(void))cancel, METH_FASTCALL | METH_KEYWORDS, NULL},
    {"result", result, METH_NOARGS, NULL},
    {"done", done, METH_NOARGS, NULL},
    {"get_loop", get_loop, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"_asyncio_future_blocking", T_BOOL, offsetof(hn_future, blocking), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_traverse, traverse},
    {Py_tp_clear, clear},
    {Py_tp_dealloc, dealloc},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {Py_tp_repr, repr},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "hypern._native.Future",
    .basicsize = sizeof(hn_future),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

int hn_future_ready(void)
{
    if (hn_future_type == NULL)
        hn_future_type = (PyTypeObject *)PyType_FromSpec(&spec);
    return hn_future_type == NULL ? -1 : 0;
}
