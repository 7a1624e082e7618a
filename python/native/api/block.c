/* transaction() blocks: what `with` and `async with` call. The core has the stack of open blocks
 * and decides what their end means; this file makes sure that they end. */
#include "api/guard.h"

#include "api/kinds.h"
#include "api/place.h"
#include "error.h"
#include "drive/settle.h"

typedef struct hn_block {
    PyObject_HEAD
    PyObject *session; /* a Session, or an AsyncSession; a test's stand for them */
    PyObject *begin;   /* str */
    uint32_t number;   /* of the block entered last, or 0 */
    bool is_settled;   /* the end of the request has left it in the place of its own code */
} hn_block;

static hn_name enter_name = {"_enter", NULL}, leave_name = {"_leave", NULL},
               undo_name = {"_undo", NULL}, undo_now_name = {"_undo_now", NULL},
               not_entered_name = {"_not_entered", NULL}, has_block_name = {"_has_block", NULL};

static PyObject *interned(hn_name *name)
{
    if (name->interned == NULL)
        name->interned = PyUnicode_InternFromString(name->text);
    return name->interned;
}

PyObject *hn_guard_call(PyObject *object, hn_name *name, PyObject *argument)
{
    PyObject *const args[] = {object, argument};
    if (interned(name) == NULL)
        return NULL;
    return PyObject_VectorcallMethod(name->interned, args, argument == NULL ? 1 : 2, NULL);
}

/* The same with a block's number. */
static PyObject *call_numbered(PyObject *session, hn_name *name, uint32_t number)
{
    PyObject *n = PyLong_FromUnsignedLong(number);
    PyObject *returned = n == NULL ? NULL : hn_guard_call(session, name, n);
    Py_XDECREF(n);
    return returned;
}

PyObject *hn_guard_first(PyObject *first, PyObject *second)
{
    if (first == NULL || second == NULL)
        return first == NULL ? second : first;
    PyObject *ours = hn_error_class("Error");
    if (ours == NULL) {
        PyErr_Clear();
    } else if (PyObject_TypeCheck(first, (PyTypeObject *)ours) &&
               !PyObject_TypeCheck(second, (PyTypeObject *)ours)) {
        Py_DECREF(first);
        return second;
    }
    Py_DECREF(second);
    return first;
}

static PyObject *new_block(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *session,
        *begin; /* sessions are the package's own, or a test's, which derive from them */
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0)
        return PyErr_Format(PyExc_TypeError, "%s() takes no keyword arguments", type->tp_name);
    if (!PyArg_ParseTuple(args, "OU:Block", &session, &begin))
        return NULL;
    hn_block *self = (hn_block *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->session = Py_NewRef(session);
    self->begin = Py_NewRef(begin);
    return (PyObject *)self;
}

static uint32_t next_number(void)
{
    static uint32_t last; /* guarded by the GIL; a child's go on from its parent's */
    last = last >= INT32_MAX ? 1 : last + 1;
    return last;
}

/* Enters a dependency's block in its session's list. 0, or -1 with an exception. */
static int keep(hn_block *self)
{
    hn_session *session = hn_session_of(self->session);
    if (session == NULL)
        return 0;
    if (session->dependencies == NULL && (session->dependencies = PyList_New(0)) == NULL)
        return -1;
    return PyList_Append(session->dependencies, (PyObject *)self);
}

/* The block's own code leaves it: the request has nothing to leave any more. */
static void drop(hn_block *self)
{
    const hn_session *session = hn_session_of(self->session);
    PyObject *list = session == NULL ? NULL : session->dependencies;
    for (Py_ssize_t i = list == NULL ? 0 : PyList_GET_SIZE(list); i-- > 0;) {
        if (PyList_GET_ITEM(list, i) != (PyObject *)self)
            continue;
        if (PyList_SetSlice(list, i, i + 1, NULL) < 0)
            PyErr_WriteUnraisable((PyObject *)self);
        return;
    }
}

PyObject *hn_block_settle(hn_session *session)
{
    PyObject *list = session->dependencies, *numbers = PyList_New(0);
    session->dependencies = NULL;
    for (Py_ssize_t i = list == NULL ? 0 : PyList_GET_SIZE(list); numbers != NULL && i-- > 0;) {
        hn_block *block = (hn_block *)PyList_GET_ITEM(list, i);
        PyObject *number = PyLong_FromUnsignedLong(block->number);
        if (number == NULL || PyList_Append(numbers, number) < 0)
            Py_CLEAR(numbers);
        else
            block->is_settled = true;
        Py_XDECREF(number);
    }
    Py_XDECREF(list);
    return numbers;
}

/* What `_enter` of the session returns: the session, or an awaitable of it. */
static PyObject *enter(hn_block *self)
{
    if (self->number != 0) {
        PyObject *open = call_numbered(self->session, &has_block_name, self->number);
        if (open == NULL)
            return NULL;
        int is_open = PyObject_IsTrue(open);
        Py_DECREF(open);
        if (is_open > 0)
            hn_raise("InterfaceError",
                     "this transaction() is entered already; call transaction() again to nest");
        if (is_open != 0)
            return NULL;
    }
    bool is_dependency;
    PyObject *text = hn_place(self->begin, &is_dependency);
    if (text == NULL)
        return NULL;
    self->number = next_number();
    self->is_settled = false;
    if (is_dependency && keep(self) < 0) {
        Py_DECREF(text);
        return NULL;
    }
    PyObject *entered = NULL, *number = PyLong_FromUnsignedLong(self->number);
    PyObject *const args[] = {self->session, number, text};
    if (number != NULL && interned(&enter_name) != NULL)
        entered = PyObject_VectorcallMethod(enter_name.interned, args, 3, NULL);
    Py_XDECREF(number);
    Py_DECREF(text);
    return entered;
}

static PyObject *enter_now(PyObject *op, PyObject *unused)
{
    (void)unused;
    hn_block *self = (hn_block *)op;
    PyObject *entered = enter(self);
    if (entered != NULL || self->number == 0)
        return entered;
    /* Where a signal handler has raised, the block may be open all the same. */
    PyObject *exception = hn_exception_take();
    PyObject *returned = call_numbered(self->session, &not_entered_name, self->number);
    if (returned == NULL)
        exception = hn_guard_first(exception, hn_exception_take());
    Py_XDECREF(returned);
    hn_exception_raise(exception);
    return NULL;
}

static PyObject *enter_awaited(PyObject *op, PyObject *unused)
{
    (void)unused;
    return enter((hn_block *)op);
}

/* Rolls the block back, unless it has been left. What a signal handler raises meanwhile, or
 * NULL. */
static PyObject *undo(const hn_block *self, uint32_t number)
{
    PyObject *raised = NULL;
    for (int i = 0; i < HN_TRIES; i++) {
        PyObject *done = call_numbered(self->session, &undo_name, number);
        if (done != NULL) {
            Py_DECREF(done);
            break;
        }
        PyObject *exception = hn_settle_undo_failed(self->session, hn_exception_take());
        if (exception == NULL)
            break;
        raised = hn_guard_first(raised, exception);
    }
    return raised;
}

static PyObject *exit_now(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    hn_block *self = (hn_block *)op;
    uint32_t number = self->number;
    PyObject *exception = NULL;
    if (nargs != 3)
        return PyErr_Format(PyExc_TypeError, "__exit__() takes three arguments");
    drop(self);
    if (args[0] == Py_None && !self->is_settled) {
        PyObject *done = call_numbered(self->session, &leave_name, number);
        if (done != NULL) {
            Py_DECREF(done);
            Py_RETURN_NONE;
        }
        exception = hn_exception_take();
    }
    exception = hn_guard_first(exception, undo(self, number));
    if (exception == NULL)
        Py_RETURN_NONE;
    hn_exception_raise(exception);
    return NULL;
}

static PyObject *exit_awaited(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    hn_block *self = (hn_block *)op;
    if (nargs != 3)
        return PyErr_Format(PyExc_TypeError, "__aexit__() takes three arguments");
    drop(self);
    hn_name *method = &undo_name;
    if (args[0] == Py_None && !self->is_settled)
        method = &leave_name;
    else if (args[0] == PyExc_GeneratorExit) /* of a coroutine that is not driven any more: it
                                                cannot wait */
        method = &undo_now_name;
    return call_numbered(self->session, method, self->number);
}

static int traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((hn_block *)op)->session);
    return 0;
}

static int clear(PyObject *op)
{
    Py_CLEAR(((hn_block *)op)->session);
    return 0;
}

static void dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    clear(op);
    Py_CLEAR(((hn_block *)op)->begin);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"__enter__", enter_now, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))exit_now, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef awaited_methods[] = {
    {"__aenter__", enter_awaited, METH_NOARGS, NULL},
    {"__aexit__", (PyCFunction)(void (*)(void))exit_awaited, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

#define SLOTS(name, table)                                                                         \
    static PyType_Slot name[] = {                                                                  \
        {Py_tp_new, new_block},   {Py_tp_traverse, traverse}, {Py_tp_clear, clear},                \
        {Py_tp_dealloc, dealloc}, {Py_tp_methods, table},     {0, NULL},                           \
    }
SLOTS(slots, methods);
SLOTS(awaited_slots, awaited_methods);
#undef SLOTS

static PyType_Spec spec = {
    .name = "hypern._native.Block",
    .basicsize = sizeof(hn_block),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

static PyType_Spec awaited_spec = {
    .name = "hypern._native.AsyncBlock",
    .basicsize = sizeof(hn_block),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = awaited_slots,
};

int hn_block_ready(PyObject *module)
{
    static PyTypeObject *type, *awaited_type;
    if (type == NULL)
        type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    if (awaited_type == NULL)
        awaited_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &awaited_spec, NULL);
    if (type == NULL || awaited_type == NULL || PyModule_AddType(module, type) < 0)
        return -1;
    return PyModule_AddType(module, awaited_type);
}
