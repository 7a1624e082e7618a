/* What batches are made of: the statements that were added, which are also their results, and the
 * call that runs them. hypern/session/batch.py and batch_results.py have their public names.
 *
 * In C, since ten queries by key took 0.48 of the time of ten single ones with objects of Python's
 * own, and take 0.37 (pinned to one core).
 */
#include "api/kinds.h"

#include <structmember.h>

#include "api/text.h"
#include "drive/wait.h"
#include "engine/queued.h"
#include "error.h"
#include "values/codec.h"

static PyTypeObject *result_type;

typedef enum hn_batch_state { NEW, OPEN, ENDED } hn_batch_state;

typedef struct hn_statements {
    PyObject_HEAD
    PyObject *session; /* a Session, or an AsyncSession */
    PyObject *timeout; /* as it was given */
    PyObject *items;   /* list of hn_queued, in the order in which they were added */
    hn_batch_state state;
} hn_statements;

/* What the results are called, with the modes in which the engine reads them. */
static struct {
    const char *word;
    hn_mode mode;
    PyObject *interned;
} words[] = {
    {"rows", HN_MODE_ROWS, NULL},     {"count", HN_MODE_COUNT, NULL},
    {"row", HN_MODE_ONE, NULL},       {"row or none", HN_MODE_ONE_OR_NONE, NULL},
    {"only row", HN_MODE_ONLY, NULL}, {"value", HN_MODE_VALUE, NULL},
    {"values", HN_MODE_VALUES, NULL}, {"result", HN_MODE_RESULT, NULL},
};
#define WORDS (sizeof words / sizeof words[0])

static int mode_of(PyObject *word, hn_mode *mode)
{
    size_t i = 0;
    while (i < WORDS && word != words[i].interned)
        i++;
    if (i == WORDS && PyUnicode_Check(word))
        for (i = 0; i < WORDS && PyUnicode_Compare(word, words[i].interned) != 0;)
            i++;
    if (i == WORDS) {
        PyErr_Format(PyExc_SystemError, "a batch has no results called %R", word);
        return -1;
    }
    *mode = words[i].mode;
    return 0;
}

/* What (sql, params) stand for. The parameters are copied, since they are sent later. 0, or -1 with
 * an exception. */
static int take_statement(hn_queued *self, PyObject *sql, PyObject *params)
{
    PyObject *resolved = NULL;
    if (params == Py_None)
        params = NULL;
    if (!hn_text_is_plain(sql, params)) {
        resolved = hn_text_resolve(sql, params);
        if (resolved == NULL)
            return -1;
        sql = PyTuple_GET_ITEM(resolved, 0);
        params = PyTuple_GET_ITEM(resolved, 1);
    }
    self->sql = hn_check_sql(sql);
    bool failed = self->sql == NULL || hn_check_params(params, -1) < 0;
    if (!failed && params != NULL && params != Py_None) {
        self->params = PySequence_Tuple(params);
        failed = self->params == NULL;
    }
    Py_XDECREF(resolved);
    return failed ? -1 : 0;
}

static PyObject *not_open(const hn_statements *self)
{
    hn_raise("InterfaceError", self->state == NEW
                                   ? "statements are added to a batch inside its `with` block"
                                   : "the batch's block has ended; begin another batch");
    return NULL;
}

/* _add(class, word, sql, params, into): a new statement, an instance of the class. */
static PyObject *add(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    hn_statements *self = (hn_statements *)op;
    if (nargs != 5 || !PyType_Check(args[0]) ||
        !PyType_IsSubtype((PyTypeObject *)args[0], result_type))
        return PyErr_Format(PyExc_TypeError, "_add() takes a class of results and a statement");
    if (self->state != OPEN)
        return not_open(self);
    PyTypeObject *type = (PyTypeObject *)args[0];
    hn_request request = {.shape = HN_ROW_DICT};
    hn_mode mode;
    if (mode_of(args[1], &mode) < 0 || hn_take_into(&request, args[4]) < 0)
        return NULL;
    hn_queued *added = (hn_queued *)type->tp_alloc(type, 0);
    if (added == NULL) {
        Py_XDECREF(request.into);
        return NULL;
    }
    added->batch = Py_NewRef(op);
    added->into = Py_NewRef(args[4]);
    added->word = Py_NewRef(args[1]);
    added->row_class = request.into;
    added->shape = mode == HN_MODE_RESULT ? HN_ROW_TUPLE : request.shape;
    added->mode = mode;
    /* Resolving a text, or copying parameters, may run Python code: a block that has ended
     * meanwhile takes no more. */
    bool failed = take_statement(added, args[2], args[3]) < 0;
    if (!failed && self->state != OPEN)
        failed = not_open(self) == NULL;
    if (failed || PyList_Append(self->items, (PyObject *)added) < 0)
        Py_CLEAR(added);
    return (PyObject *)added;
}

static PyObject *begin(PyObject *op, PyObject *unused)
{
    (void)unused;
    hn_statements *self = (hn_statements *)op;
    if (self->state != NEW) {
        hn_raise("InterfaceError", "a batch is entered once; begin another one");
        return NULL;
    }
    self->state = OPEN;
    Py_RETURN_NONE;
}

static PyObject *end(PyObject *op, PyObject *unused)
{
    (void)unused;
    ((hn_statements *)op)->state = ENDED;
    Py_RETURN_NONE;
}

static Py_ssize_t length(PyObject *op)
{
    PyObject *items = ((hn_statements *)op)->items;
    return items == NULL ? 0 : PyList_GET_SIZE(items);
}

static int init_statements(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"session", "timeout", NULL};
    hn_statements *self = (hn_statements *)op;
    PyObject *session, *timeout;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO", names, &session, &timeout))
        return -1;
    PyObject *items = PyList_New(0);
    if (items == NULL)
        return -1;
    Py_XSETREF(self->session, Py_NewRef(session));
    Py_XSETREF(self->timeout, Py_NewRef(timeout));
    Py_XSETREF(self->items, items);
    return 0;
}

static int traverse_statements(PyObject *op, visitproc visit, void *arg)
{
    hn_statements *self = (hn_statements *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->session);
    Py_VISIT(self->timeout);
    Py_VISIT(self->items);
    return 0;
}

static int clear_statements(PyObject *op)
{
    hn_statements *self = (hn_statements *)op;
    Py_CLEAR(self->session);
    Py_CLEAR(self->timeout);
    Py_CLEAR(self->items);
    return 0;
}

static void dealloc_statements(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    clear_statements(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef statements_methods[] = {
    {"_add", (PyCFunction)(void (*)(void))add, METH_FASTCALL, NULL},
    {"_begin", begin, METH_NOARGS, NULL},
    {"_end", end, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef statements_members[] = {
    {"_session", T_OBJECT_EX, offsetof(hn_statements, session), READONLY, NULL},
    {"_timeout", T_OBJECT_EX, offsetof(hn_statements, timeout), READONLY, NULL},
    {"_items", T_OBJECT_EX, offsetof(hn_statements, items), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot statements_slots[] = {
    {Py_tp_init, init_statements},         {Py_tp_methods, statements_methods},
    {Py_tp_members, statements_members},   {Py_sq_length, length},
    {Py_tp_traverse, traverse_statements}, {Py_tp_clear, clear_statements},
    {Py_tp_dealloc, dealloc_statements},   {0, NULL},
};

static PyType_Spec statements_spec = {
    .name = "hypern._native.StatementsBase",
    .basicsize = sizeof(hn_statements),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = statements_slots,
};

/* 0, or -1 with the exception that says why there is no result. */
static int check_outcome(const hn_queued *self)
{
    if (self->has_outcome)
        return 0;
    bool is_open = self->batch != NULL && ((hn_statements *)self->batch)->state == OPEN;
    return hn_raise("InterfaceError",
                    is_open ? "the batch has not been sent: its results are there after its block"
                            : "the batch was not completed, so that it has no results");
}

static PyObject *get_value(PyObject *op, PyObject *unused)
{
    (void)unused;
    const hn_queued *self = (hn_queued *)op;
    if (check_outcome(self) < 0)
        return NULL;
    if (self->error == NULL)
        return Py_NewRef(self->value == NULL ? Py_None : self->value);
    hn_exception_raise(Py_NewRef(self->error));
    return NULL;
}

static PyObject *get_count(PyObject *op, void *unused)
{
    (void)unused;
    const hn_queued *self = (hn_queued *)op;
    return check_outcome(self) < 0 ? NULL : PyLong_FromLongLong(self->count);
}

/* _settle(value, error, count): what a statement has returned that was run by itself. */
static PyObject *settle(PyObject *op, PyObject *args)
{
    PyObject *value, *error;
    long long count;
    if (!PyArg_ParseTuple(args, "OOL:_settle", &value, &error, &count))
        return NULL;
    hn_queued_settle((hn_queued *)op, Py_NewRef(value), error == Py_None ? NULL : Py_NewRef(error),
                     count);
    Py_RETURN_NONE;
}

/* _forget(): the outcome, since a later statement has failed. */
static PyObject *forget(PyObject *op, PyObject *unused)
{
    (void)unused;
    hn_queued *self = (hn_queued *)op;
    self->has_outcome = false;
    Py_CLEAR(self->value);
    Py_CLEAR(self->error);
    Py_RETURN_NONE;
}

static PyObject *no_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    return PyErr_Format(PyExc_TypeError, "%s is made by a batch, not by hand", type->tp_name);
}

static int traverse_result(PyObject *op, visitproc visit, void *arg)
{
    hn_queued *self = (hn_queued *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->batch);
    Py_VISIT(self->params);
    Py_VISIT(self->into);
    Py_VISIT(self->row_class);
    Py_VISIT(self->value);
    Py_VISIT(self->error);
    return 0;
}

/* sql and word stay: an operation that runs the statement may be in the same garbage. */
static int clear_result(PyObject *op)
{
    hn_queued *self = (hn_queued *)op;
    Py_CLEAR(self->batch);
    Py_CLEAR(self->params);
    Py_CLEAR(self->into);
    Py_CLEAR(self->row_class);
    Py_CLEAR(self->value);
    Py_CLEAR(self->error);
    return 0;
}

static void dealloc_result(PyObject *op)
{
    hn_queued *self = (hn_queued *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    clear_result(op);
    Py_XDECREF(self->sql);
    Py_XDECREF(self->word);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef result_methods[] = {
    {"_value", get_value, METH_NOARGS, NULL},
    {"_settle", settle, METH_VARARGS, NULL},
    {"_forget", forget, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef result_members[] = {
    {"_sql", T_OBJECT, offsetof(hn_queued, sql), READONLY, NULL},
    {"_params", T_OBJECT, offsetof(hn_queued, params), READONLY, NULL},
    {"_into", T_OBJECT, offsetof(hn_queued, into), READONLY, NULL},
    {"_word", T_OBJECT, offsetof(hn_queued, word), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef result_getters[] = {
    {"count", get_count, NULL,
     "The number of rows affected, or returned by a SELECT (int). InterfaceError before the\n"
     "block has ended, or if the batch has failed.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot result_slots[] = {
    {Py_tp_new, no_new},
    {Py_tp_methods, result_methods},
    {Py_tp_members, result_members},
    {Py_tp_getset, result_getters},
    {Py_tp_traverse, traverse_result},
    {Py_tp_clear, clear_result},
    {Py_tp_dealloc, dealloc_result},
    {0, NULL},
};

static PyType_Spec result_spec = {
    .name = "hypern._native.BatchResultBase",
    .basicsize = sizeof(hn_queued),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = result_slots,
};

/* _batch(statements, timeout): runs the first of them, all that run in one go, and returns how many
 * those are. Nobody changes the list meanwhile. */
static PyObject *batch(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    hn_time deadline;
    hn_request request = {.op = HN_OP_BATCH, .mode = HN_MODE_NOTHING, .method = "batch"};
    if (nargs != 2 || !PyList_Check(args[0]))
        return PyErr_Format(PyExc_TypeError, "_batch() takes a list of statements and a timeout");
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(args[0]); i++)
        if (!PyObject_TypeCheck(PyList_GET_ITEM(args[0], i), result_type))
            return PyErr_Format(PyExc_TypeError, "_batch() takes statements of a batch");
    if (hn_deadline(args[1], &deadline, &request.timeout) < 0)
        return NULL;
    request.params = args[0];
    return hn_do(self, &request, deadline, false);
}

PyMethodDef hn_batch_methods[] = {
    {"_batch", (PyCFunction)(void (*)(void))batch, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

int hn_batch_ready(PyObject *module)
{
    static PyTypeObject *statements_type;
    for (size_t i = 0; i < WORDS; i++)
        if (words[i].interned == NULL &&
            (words[i].interned = PyUnicode_InternFromString(words[i].word)) == NULL)
            return -1;
    if (statements_type == NULL)
        statements_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &statements_spec, NULL);
    if (result_type == NULL)
        result_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &result_spec, NULL);
    if (statements_type == NULL || result_type == NULL ||
        PyModule_AddType(module, statements_type) < 0)
        return -1;
    return PyModule_AddType(module, result_type);
}
