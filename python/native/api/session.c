/* Session: what DbSession is made of. */
#include "api/session.h"

#include <structmember.h>

#include "api/guard.h"
#include "api/kinds.h"
#include "core/core.h"
#include "error.h"
#include "session/index.h"

static const char *const state_words[] = {
#define X(name, word) word,
    HN_STATES(X)
#undef X
};

static hn_view *new_view(PyTypeObject *type, hn_database *database, PyObject *request_id)
{
    hn_view *self = (hn_view *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->target.owner = (PyObject *)self;
    self->target.database = (hn_database *)Py_NewRef((PyObject *)database);
    self->request_id = Py_NewRef(request_id);
    return self;
}

/* What hypern.scope.options.Kept has for the core; borrowed. */
typedef struct hn_given {
    PyObject *options; /* bytes, or NULL */
    PyObject *wanted;  /* str, or NULL */
} hn_given;

/* Whether options are those of a session that only reads. */
static bool reads_only(PyObject *kept)
{
    return PyTuple_Check(kept) && PyTuple_GET_SIZE(kept) > 4 &&
           PyTuple_GET_ITEM(kept, 4) == Py_True;
}

/* Takes over what the options of the session's scope come to. 0, or -1 with an exception. */
static int take_options(hn_view *self, PyObject *kept, hn_given *given)
{
    PyObject *label, *reads, *unused;
    double deadline, seconds;
    given->options = given->wanted = NULL;
    if (kept == Py_None)
        return 0;
    if (!PyTuple_Check(kept)) {
        PyErr_Format(PyExc_TypeError, "options are a tuple, not %s", Py_TYPE(kept)->tp_name);
        return -1;
    }
    if (!PyArg_ParseTuple(kept, "SddOOOO", &given->options, &deadline, &seconds, &label, &reads,
                          &given->wanted, &unused))
        return -1;
    if (given->wanted == Py_None)
        given->wanted = NULL;
    else if (!PyUnicode_Check(given->wanted)) {
        PyErr_SetString(PyExc_TypeError, "not_before is a str");
        return -1;
    }
    self->target.deadline = (hn_time)(deadline * 1e9);
    self->target.deadline_secs = seconds;
    self->label = label == Py_None ? NULL : Py_NewRef(label);
    return 0;
}

/* From the look-up to the entry no Python code runs, so that no other session comes in between. */
static PyObject *open_view(hn_view *self, const hn_given *given)
{
    hn_target *target = &self->target;
    PyObject *open = hn_index_find(self->request_id, target->database->alias, self->reads);
    if (open != NULL || PyErr_Occurred())
        return open; /* the view's allocation has run Python code, which has opened it */
    target->handle = hn_database_open(target->database, self->request_id, given->options,
                                      self->reads, given->wanted);
    target->generation = hn_core_generation();
    if (target->handle < 0 || hn_index_add(self) < 0)
        return NULL;
    return Py_NewRef((PyObject *)self);
}

PyObject *hn_session_open(PyTypeObject *type, hn_database *database, PyObject *request_id,
                          PyObject *kept)
{
    bool reads = reads_only(kept);
    PyObject *open = hn_index_find(request_id, database->alias, reads);
    if (open != NULL || PyErr_Occurred())
        return open;
    hn_view *self = new_view(type, database, request_id);
    if (self == NULL)
        return NULL;
    self->reads = reads;
    hn_given given;
    open = take_options(self, kept, &given) < 0 ? NULL : open_view(self, &given);
    Py_DECREF((PyObject *)self);
    return open;
}

#define FINALIZED                                                                                  \
    "the session of request %R was finalized; call db() for another one, in a scope() of its own " \
    "where the request has ended"

/* Changes the core's state of the session, and returns it; -1 with an exception. */
static int64_t change_state(const hn_view *self, int what, int value)
{
    if (hn_target_check(&self->target) < 0)
        return -1;
    uint32_t state = hn_go.hypern_state(self->target.handle, what, value);
    if (what != HN_SET_NOTHING && (state & 0xff) == HN_STATE_CLOSED)
        return hn_raise("SessionClosed", FINALIZED, self->request_id);
    return state;
}

/* How long a look at the state waits for the end of a COMMIT or rollback whose task has left. The
 * server confirms the cancel request within milliseconds; over a silent link the last known state
 * is returned. */
#define ENDING_WAIT (1000 * HN_MS)

static int await_ending(PyObject *self)
{
    return hn_lock_await_ending(&((hn_view *)self)->lock, hn_now() + ENDING_WAIT);
}

static PyObject *get_state(PyObject *self, void *unused)
{
    (void)unused;
    if (await_ending(self) < 0)
        return NULL;
    int64_t state = change_state((hn_view *)self, HN_SET_NOTHING, 0);
    if (state < 0)
        return NULL;
    size_t word = (size_t)state & 0xff;
    return PyUnicode_InternFromString(
        word < sizeof state_words / sizeof *state_words ? state_words[word] : "unknown");
}

/* closure: one of HN_FLAG_*. */
static PyObject *get_flag(PyObject *self, void *closure)
{
    if ((intptr_t)closure == HN_FLAG_IN_TRANSACTION && await_ending(self) < 0)
        return NULL;
    int64_t state = change_state((hn_view *)self, HN_SET_NOTHING, 0);
    return state < 0 ? NULL : PyBool_FromLong((state & (int64_t)(intptr_t)closure) != 0);
}

static PyObject *get_alias(PyObject *self, void *unused)
{
    (void)unused;
    return Py_NewRef(((hn_view *)self)->target.database->alias);
}

/* The end of the log behind what the session has committed, as "lsn:timeline:system"; None if it
 * has committed nothing, or its alias has no replica. */
static PyObject *get_commit_lsn(PyObject *self, void *unused)
{
    (void)unused;
    const hn_position *at = &((hn_view *)self)->target.written;
    if (at->lsn == 0)
        Py_RETURN_NONE;
    unsigned high = (unsigned)(at->lsn >> 32), low = (unsigned)(at->lsn & UINT32_MAX);
    char text[80];
    if (at->timeline == 0)
        (void)snprintf(text, sizeof text, "%X/%X", high, low);
    else
        (void)snprintf(text, sizeof text, "%X/%X:%u:%llu", high, low, (unsigned)at->timeline,
                       (unsigned long long)at->system);
    return PyUnicode_FromString(text);
}

/* The one argument of a method, by position or by name; borrowed. */
static PyObject *only_argument(const char *method, const char *name, PyObject *const *args,
                               Py_ssize_t nargs, PyObject *kwnames)
{
    Py_ssize_t named = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    if (nargs + named == 1 &&
        (named == 0 || PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), name) == 0))
        return args[0];
    return PyErr_Format(PyExc_TypeError, "%s() takes one argument, '%s'", method, name);
}

static PyObject *set_auto_commit(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                 PyObject *kwnames)
{
    PyObject *enabled = only_argument("set_auto_commit", "enabled", args, nargs, kwnames);
    int value = enabled == NULL ? -1 : PyObject_IsTrue(enabled);
    if (value < 0 || change_state((hn_view *)self, HN_SET_AUTO_COMMIT, value) < 0)
        return NULL;
    return Py_NewRef(self);
}

static PyObject *set_error(PyObject *self, PyObject *unused)
{
    (void)unused;
    return change_state((hn_view *)self, HN_SET_ERROR, 1) < 0 ? NULL : Py_NewRef(self);
}

static PyObject *on_commit(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    hn_view *self = (hn_view *)op;
    PyObject *fn = only_argument("on_commit", "fn", args, nargs, kwnames);
    int64_t state = fn == NULL ? -1 : change_state(self, HN_SET_NOTHING, 0);
    if (state < 0)
        return NULL;
    if ((state & 0xff) == HN_STATE_CLOSED) {
        hn_raise("SessionClosed", FINALIZED, self->request_id);
        return NULL;
    }
    if (!PyCallable_Check(fn))
        return PyErr_Format(PyExc_TypeError, "on_commit() requires a callable, not %s",
                            Py_TYPE(fn)->tp_name);
    if (self->target.on_commit == NULL && (self->target.on_commit = PyList_New(0)) == NULL)
        return NULL;
    return PyList_Append(self->target.on_commit, fn) < 0 ? NULL : Py_NewRef(op);
}

static PyObject *settle_dependencies(PyObject *op, PyObject *unused)
{
    (void)unused;
    return hn_block_settle((hn_session *)op);
}

static PyObject *no_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    return PyErr_Format(PyExc_TypeError, "%s is made by db(), not by hand", type->tp_name);
}

static int traverse(PyObject *op, visitproc visit, void *arg)
{
    hn_view *self = (hn_view *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->target.database);
    Py_VISIT(self->target.on_commit);
    Py_VISIT(((hn_session *)op)->dependencies);
    Py_VISIT(self->next);
    return 0;
}

/* pool and request_id stay: a finalizer in the same garbage may still call methods, and the pool
 * breaks what cycles run through it. */
static int clear(PyObject *op)
{
    Py_CLEAR(((hn_view *)op)->target.on_commit);
    Py_CLEAR(((hn_session *)op)->dependencies);
    return 0;
}

static void dealloc(PyObject *op)
{
    hn_view *self = (hn_view *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    clear(op);
    if (self->target.handle > 0 && hn_target_is_here(&self->target))
        hn_go.hypern_release(self->target.handle);
    hn_target_clear(&self->target);
    Py_XDECREF((PyObject *)self->next);
    Py_XDECREF((PyObject *)self->target.database);
    Py_XDECREF(self->request_id);
    Py_XDECREF(self->label);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMemberDef members[] = {
    {"request_id", T_OBJECT, offsetof(hn_view, request_id), READONLY,
     "The id of the request that the session belongs to."},
    {"label", T_OBJECT, offsetof(hn_view, label), READONLY,
     "The label of the scope that the session belongs to, or None."},
    {"_open_stream", T_ULONGLONG, offsetof(hn_view, target.stream.number), READONLY, NULL},
    {"_is_finalizing", T_UINT, offsetof(hn_view, finalizing), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef getters[] = {
    {"alias", get_alias, NULL, "The alias of the session's database.", NULL},
    {"_commit_lsn", get_commit_lsn, NULL, NULL, NULL},
    {"state", get_state, NULL, "idle, connected, in_transaction, committed, rolled_back or closed.",
     NULL},
    {"is_in_transaction", get_flag, NULL, "Whether a transaction is open, an aborted one included.",
     (void *)HN_FLAG_IN_TRANSACTION},
    {"auto_commit", get_flag, NULL, "Whether finalizing commits an open transaction.",
     (void *)HN_FLAG_AUTO_COMMIT},
    {"has_error", get_flag, NULL, "Whether set_error() was called.", (void *)HN_FLAG_ERROR},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(set_auto_commit_doc,
             "set_auto_commit($self, enabled)\n--\n\n"
             "Whether an open transaction is committed when the session is finalized; else it is\n"
             "rolled back. Returns the session.");
PyDoc_STRVAR(set_error_doc, "set_error($self)\n--\n\n"
                            "Have the open transaction rolled back when the session is finalized.\n"
                            "Returns the session.");
PyDoc_STRVAR(on_commit_doc,
             "on_commit($self, fn)\n--\n\n"
             "Have fn() called once COMMIT has succeeded, after the functions given before; never\n"
             "after a rollback. Returns the session.");

static PyMethodDef own_methods[] = {
    {"set_auto_commit", (PyCFunction)(void (*)(void))set_auto_commit, METH_FASTCALL | METH_KEYWORDS,
     set_auto_commit_doc},
    {"set_error", set_error, METH_NOARGS, set_error_doc},
    {"on_commit", (PyCFunction)(void (*)(void))on_commit, METH_FASTCALL | METH_KEYWORDS,
     on_commit_doc},
    {"_settle_dependencies", settle_dependencies, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

/* The methods of all tables in one, as a type requires. */
static PyMethodDef methods[56];

static void join_methods(void)
{
    const PyMethodDef *const tables[] = {
        own_methods,       hn_statement_methods, hn_transaction_methods,
        hn_stream_methods, hn_batch_methods,     hn_copy_methods};
    size_t n = 0;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        for (const PyMethodDef *m = tables[i]; m->ml_name != NULL; m++)
            methods[n++] = *m;
}

static char type_doc[] = "A view of a request's session on one database; made by db() only.";

static PyType_Slot slots[] = {
    {Py_tp_new, no_new},      {Py_tp_traverse, traverse}, {Py_tp_clear, clear},
    {Py_tp_dealloc, dealloc}, {Py_tp_methods, methods},   {Py_tp_members, members},
    {Py_tp_getset, getters},  {Py_tp_doc, type_doc},      {0, NULL},
};

static PyType_Spec spec = {
    .name = "hypern._native.Session",
    .basicsize = sizeof(hn_session),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

int hn_session_ready(PyObject *module)
{
    if (hn_session_type == NULL) {
        join_methods();
        hn_session_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
        if (hn_session_type == NULL || hn_index_ready() < 0)
            return -1;
    }
    return PyModule_AddType(module, hn_session_type);
}
