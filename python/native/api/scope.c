/* Scopes: what `with` and `async with` call. hypern/scope/scope.py defines what a scope does; this
 * file makes sure that one which was left, or dropped, gives its connections back, whatever
 * interrupts that. */
#include "api/guard.h"

#include <structmember.h>

#include "api/coroutine.h"
#include "api/scope_life.h"
#include "error.h"
#include "session/index.h"

static hn_name finalize_name = {"_finalize", NULL}, aexit_name = {"_aexit", NULL},
               release_name = {"_release", NULL};

/* End the scope and its sessions, rolling back, again until nothing interrupts it. */
static PyObject *release(PyObject *self, PyObject *exception)
{
    for (int i = 0; i < HN_TRIES; i++) {
        PyObject *done = hn_guard_call(self, &release_name, NULL);
        if (done != NULL) {
            Py_DECREF(done);
            break;
        }
        exception = hn_guard_first(exception, hn_exception_take());
    }
    return exception;
}

/* `result` of entering or leaving, or NULL with what has been raised, after which the scope is
 * over. */
static PyObject *or_release(PyObject *self, PyObject *result)
{
    if (result == NULL)
        hn_exception_raise(release(self, hn_exception_take()));
    return result;
}

static PyObject *enter(PyObject *self, PyObject *unused)
{
    PyObject *entered = hn_scope_enter(self, unused);
    /* An error of its own comes before it opens anything. */
    if (entered == NULL && !((hn_scope *)self)->is_open)
        return NULL;
    return or_release(self, entered);
}

static PyObject *leave(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 3)
        return PyErr_Format(PyExc_TypeError, "__exit__() takes three arguments");
    PyObject *left = hn_scope_leave(self, NULL), *sessions = NULL;
    if (left != NULL)
        sessions = hn_index_list(((hn_scope *)self)->request_id, NULL);
    bool ends_any =
        sessions != NULL && (PyList_GET_SIZE(sessions) > 0 || hn_scope_may_have_borrowed());
    Py_XDECREF(sessions);
    if (ends_any)
        Py_SETREF(left, hn_guard_call(self, &finalize_name, args[1]));
    else if (sessions == NULL)
        Py_CLEAR(left);
    else
        ((hn_scope *)self)->is_open = 0;
    return or_release(self, left);
}

/* An awaitable: entering, which waits for nothing, or leaving. */
typedef struct hn_leaving {
    PyObject_HEAD
    PyObject *scope;     /* NULL: it is over */
    PyObject *coroutine; /* the coroutine of _aexit(); NULL: entering, or over */
} hn_leaving;

static PyTypeObject *leaving_type;

static PyObject *new_leaving(PyObject *scope, PyObject *coroutine)
{
    hn_leaving *self = (hn_leaving *)leaving_type->tp_alloc(leaving_type, 0);
    if (self != NULL) {
        self->scope = Py_NewRef(scope);
        self->coroutine = Py_XNewRef(coroutine);
    }
    return (PyObject *)self;
}

static PyObject *enter_awaited(PyObject *self, PyObject *unused)
{
    PyObject *entered = enter(self, unused);
    if (entered == NULL)
        return NULL;
    Py_DECREF(entered);
    return or_release(self, new_leaving(self, NULL));
}

static PyObject *leave_awaited(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 3)
        return PyErr_Format(PyExc_TypeError, "__aexit__() takes three arguments");
    PyObject *coroutine = hn_guard_call(self, &aexit_name, args[1]);
    PyObject *leaving = coroutine == NULL ? NULL : new_leaving(self, coroutine);
    Py_XDECREF(coroutine);
    return or_release(self, leaving);
}

/* It is over, with what the coroutine has raised. */
static void fail(hn_leaving *self)
{
    PyObject *scope = self->scope;
    self->scope = NULL;
    Py_CLEAR(self->coroutine);
    if (scope != NULL)
        or_release(scope, NULL);
    Py_XDECREF(scope);
}

static PySendResult am_send(PyObject *op, PyObject *value, PyObject **result)
{
    hn_leaving *self = (hn_leaving *)op;
    if (self->scope == NULL) {
        *result = NULL;
        PyErr_SetString(PyExc_RuntimeError, "the scope's __aexit__() is awaited already");
        return PYGEN_ERROR;
    }
    if (self->coroutine == NULL) {
        *result = self->scope;
        self->scope = NULL;
        return PYGEN_RETURN;
    }
    PySendResult sent = PyIter_Send(self->coroutine, value, result);
    if (sent == PYGEN_ERROR) {
        fail(self);
    } else if (sent == PYGEN_RETURN) {
        Py_CLEAR(self->coroutine);
        Py_CLEAR(self->scope);
    }
    return sent;
}

static PyObject *throw_in(PyObject *op, PyObject *args)
{
    hn_leaving *self = (hn_leaving *)op;
    if (self->coroutine == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "nothing is awaited here");
        return NULL;
    }
    PyObject *step = hn_coroutine_throw(self->coroutine, args);
    if (step != NULL)
        return step;
    if (PyErr_ExceptionMatches(PyExc_StopIteration)) { /* swallowed, and all has been done */
        Py_CLEAR(self->coroutine);
        Py_CLEAR(self->scope);
    } else {
        fail(self);
    }
    return NULL;
}

static PyObject *close_it(PyObject *op, PyObject *unused)
{
    (void)unused;
    hn_leaving *self = (hn_leaving *)op;
    if (self->scope == NULL)
        Py_RETURN_NONE;
    PyObject *closed =
        self->coroutine == NULL ? NULL : PyObject_CallMethod(self->coroutine, "close", NULL);
    PyObject *exception = closed == NULL ? hn_exception_take() : NULL;
    Py_XDECREF(closed);
    PyObject *scope = self->scope;
    self->scope = NULL;
    Py_CLEAR(self->coroutine);
    exception = release(scope, exception);
    Py_DECREF(scope);
    if (exception == NULL)
        Py_RETURN_NONE;
    hn_exception_raise(exception);
    return NULL;
}

static int leaving_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((hn_leaving *)op)->scope);
    Py_VISIT(((hn_leaving *)op)->coroutine);
    return 0;
}

static int leaving_clear(PyObject *op)
{
    Py_CLEAR(((hn_leaving *)op)->scope);
    Py_CLEAR(((hn_leaving *)op)->coroutine);
    return 0;
}

/* Nobody has awaited it to its end: a handler has raised in between. */
static void leaving_finalize(PyObject *op)
{
    hn_leaving *self = (hn_leaving *)op;
    if (self->scope == NULL)
        return;
    PyObject *exception = hn_exception_take();
    PyObject *closed = close_it(op, NULL);
    if (closed == NULL)
        PyErr_WriteUnraisable(op);
    Py_XDECREF(closed);
    if (exception != NULL)
        hn_exception_raise(exception);
}

static void leaving_dealloc(PyObject *op)
{
    if (PyObject_CallFinalizerFromDealloc(op) < 0)
        return;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    leaving_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef leaving_methods[] = {
    {"send", hn_coroutine_send, METH_O, NULL},
    {"throw", throw_in, METH_VARARGS, NULL},
    {"close", close_it, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot leaving_slots[] = {
    {Py_am_await, PyObject_SelfIter}, {Py_am_send, am_send},
    {Py_tp_iter, PyObject_SelfIter},  {Py_tp_iternext, hn_coroutine_next},
    {Py_tp_methods, leaving_methods}, {Py_tp_traverse, leaving_traverse},
    {Py_tp_clear, leaving_clear},     {Py_tp_finalize, leaving_finalize},
    {Py_tp_dealloc, leaving_dealloc}, {0, NULL},
};

static PyType_Spec leaving_spec = {
    .name = "hypern._native.Leaving",
    .basicsize = sizeof(hn_leaving),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = leaving_slots,
};

/* A scope that goes without having been left. */
static void finalize(PyObject *self)
{
    if (!((hn_scope *)self)->is_open)
        return;
    PyObject *exception = hn_exception_take();
    PyObject *raised = release(self, NULL);
    if (raised != NULL) {
        hn_exception_raise(raised);
        PyErr_WriteUnraisable(self);
    }
    if (exception != NULL)
        hn_exception_raise(exception);
}

static int traverse(PyObject *op, visitproc visit, void *arg)
{
    hn_scope *self = (hn_scope *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->outer);
    Py_VISIT(self->kept);
    Py_VISIT(self->written);
    return 0;
}

/* request_id stays: a finalizer in the same garbage may still ask for it. */
static int clear(PyObject *op)
{
    hn_scope *self = (hn_scope *)op;
    Py_CLEAR(self->outer);
    Py_CLEAR(self->kept);
    Py_CLEAR(self->written);
    return 0;
}

static void dealloc(PyObject *op)
{
    if (PyObject_CallFinalizerFromDealloc(op) < 0)
        return;
    hn_scope *self = (hn_scope *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    clear(op);
    Py_XDECREF(self->request_id);
    Py_XDECREF(self->is_entered);
    Py_XDECREF(self->ended);
    Py_XDECREF(self->listed);
    type->tp_free(op);
    Py_DECREF(type);
}

PyDoc_STRVAR(open_doc, "open($self)\n--\n\n"
                       "Open the scope, so that sessions can be opened in it.");
PyDoc_STRVAR(close_doc, "close($self)\n--\n\n"
                        "Close the scope: no session can be opened in it any more.");

static PyMethodDef methods[] = {
    {"__enter__", enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))leave, METH_FASTCALL, NULL},
    {"__aenter__", enter_awaited, METH_NOARGS, NULL},
    {"__aexit__", (PyCFunction)(void (*)(void))leave_awaited, METH_FASTCALL, NULL},
    {"open", hn_scope_open, METH_NOARGS, open_doc},
    {"close", hn_scope_close, METH_NOARGS, close_doc},
    {"_leave", hn_scope_leave, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"request_id", T_OBJECT_EX, offsetof(hn_scope, request_id), 0, "The id of the request (str)."},
    {"is_open", T_BOOL, offsetof(hn_scope, is_open), 0, NULL},
    {"is_entered", T_OBJECT_EX, offsetof(hn_scope, is_entered), 0, NULL},
    {"ended", T_OBJECT_EX, offsetof(hn_scope, ended), 0, NULL},
    {"_outer", T_OBJECT_EX, offsetof(hn_scope, outer), 0, NULL},
    {"_kept", T_OBJECT_EX, offsetof(hn_scope, kept), 0, NULL},
    {"_written", T_OBJECT_EX, offsetof(hn_scope, written), 0, NULL},
    {"_thread", T_ULONG, offsetof(hn_scope, thread), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_init, hn_scope_init}, {Py_tp_methods, methods},
    {Py_tp_members, members},    {Py_tp_traverse, traverse},
    {Py_tp_clear, clear},        {Py_tp_finalize, finalize},
    {Py_tp_dealloc, dealloc},    {0, NULL},
};

static PyType_Spec spec = {
    .name = "hypern._native.ScopeBase",
    .basicsize = sizeof(hn_scope),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

int hn_scope_ready(PyObject *module)
{
    static PyTypeObject *type;
    if (type == NULL)
        type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    if (leaving_type == NULL)
        leaving_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &leaving_spec, NULL);
    if (type == NULL || leaving_type == NULL || hn_scope_life_ready(module, type) < 0)
        return -1;
    return PyModule_AddType(module, type);
}
