/* A view of one of the core's sessions: what DbSession is made of. */
#include "session/session.h"

#include <structmember.h>

#include "awaited/awaited.h"
#include "awaited/operation.h"
#include "core/core.h"
#include "engine/drive.h"
#include "engine/stream.h"
#include "error.h"
#include "session/index.h"
#include "session/standstill.h"

PyTypeObject *hn_session_type;

static const char *const state_words[] = {
#define X(name, word) word,
    HN_STATES(X)
#undef X
};

int hn_session_check(const hn_session *self)
{
    return hn_core_check(self->generation);
}

static hn_session *new_view(hn_pool *pool, PyObject *request_id)
{
    PyTypeObject *type = (PyTypeObject *)pool->session_type;
    hn_session *self = (hn_session *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->pool = (hn_pool *)Py_NewRef((PyObject *)pool);
    self->request_id = Py_NewRef(request_id);
    return self;
}

/* From the look-up to the entry no Python code runs, so that no other session comes in between. */
static PyObject *open_view(hn_session *self)
{
    PyObject *open = hn_index_find(self->request_id, self->pool->alias);
    if (open != NULL || PyErr_Occurred())
        return open; /* the view's allocation has run Python code, which has opened it */
    self->handle = hn_pool_open(self->pool, self->request_id);
    self->generation = hn_core_generation();
    if (self->handle < 0 || hn_index_add(self) < 0)
        return NULL;
    return Py_NewRef((PyObject *)self);
}

PyObject *hn_session_open(hn_pool *pool, PyObject *request_id)
{
    PyObject *open = hn_index_find(request_id, pool->alias);
    if (open != NULL || PyErr_Occurred())
        return open;
    hn_session *self = new_view(pool, request_id);
    if (self == NULL)
        return NULL;
    open = open_view(self);
    Py_DECREF((PyObject *)self);
    return open;
}

bool hn_session_is_blocking(PyObject *self)
{
    return PyObject_TypeCheck(self, hn_session_type);
}

hn_session *hn_session_of(PyObject *self)
{
    return hn_session_is_blocking(self) ? (hn_session *)self : ((hn_awaited *)self)->session;
}

PyObject *hn_session_do(PyObject *self, const hn_request *request, hn_time deadline, bool chained)
{
    if (!hn_session_is_blocking(self))
        return hn_operation_new(((hn_awaited *)self)->session, request, deadline,
                                chained ? self : NULL);
    if (request->op == HN_OP_FINALIZE)
        return hn_session_finalize((hn_session *)self, deadline);
    PyObject *result = hn_session_run((hn_session *)self, request, deadline);
    if (result != NULL && chained)
        Py_SETREF(result, Py_NewRef(self));
    return result;
}

/* The core's state, or -1 with an exception. */
static int64_t change_state(const hn_session *self, int what, int value)
{
    if (hn_session_check(self) < 0)
        return -1;
    uint32_t state = hn_go.hypern_state(self->handle, what, value);
    if (what != HN_SET_NOTHING && (state & 0xff) == HN_STATE_CLOSED)
        return hn_raise("SessionClosed", "the session of request %R was finalized; "
                                         "db() opens a new one", self->request_id);
    return state;
}

/* How long a look at the state waits for the end of a COMMIT or rollback whose task has left. The server
 * confirms the request to cancel within milliseconds; over a silent link the state is what is known. */
#define ENDING_WAIT (1000 * HN_MS)

static int await_ending(hn_session *self)
{
    if (self->lock.owner != HN_AWAITED || !hn_operation_is_ending(self->lock.awaited))
        return 0;
    switch (hn_lock_take(&self->lock, hn_now() + ENDING_WAIT)) {
    case HN_LOCKED:
        hn_lock_give(&self->lock);
        return 0;
    case HN_LOCK_ERROR:
        return -1;
    default:
        return 0;
    }
}

static PyObject *get_state(PyObject *self, void *unused)
{
    (void)unused;
    if (await_ending((hn_session *)self) < 0)
        return NULL;
    int64_t state = change_state((hn_session *)self, HN_SET_NOTHING, 0);
    if (state < 0)
        return NULL;
    size_t word = (size_t)state & 0xff;
    return PyUnicode_InternFromString(
        word < sizeof state_words / sizeof *state_words ? state_words[word] : "unknown");
}

/* closure: one of HN_FLAG_*. */
static PyObject *get_flag(PyObject *self, void *closure)
{
    if ((intptr_t)closure == HN_FLAG_IN_TRANSACTION && await_ending((hn_session *)self) < 0)
        return NULL;
    int64_t state = change_state((hn_session *)self, HN_SET_NOTHING, 0);
    return state < 0 ? NULL : PyBool_FromLong((state & (int64_t)(intptr_t)closure) != 0);
}

static PyObject *get_alias(PyObject *self, void *unused)
{
    (void)unused;
    return Py_NewRef(((hn_session *)self)->pool->alias);
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
    if (value < 0 || change_state((hn_session *)self, HN_SET_AUTO_COMMIT, value) < 0)
        return NULL;
    return Py_NewRef(self);
}

static PyObject *set_error(PyObject *self, PyObject *unused)
{
    (void)unused;
    return change_state((hn_session *)self, HN_SET_ERROR, 1) < 0 ? NULL : Py_NewRef(self);
}

static PyObject *on_commit(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    hn_session *self = (hn_session *)op;
    PyObject *fn = only_argument("on_commit", "fn", args, nargs, kwnames);
    int64_t state = fn == NULL ? -1 : change_state(self, HN_SET_NOTHING, 0);
    if (state < 0)
        return NULL;
    if ((state & 0xff) == HN_STATE_CLOSED) {
        hn_raise("SessionClosed", "the session of request %R was finalized; db() opens a new one",
                 self->request_id);
        return NULL;
    }
    if (!PyCallable_Check(fn))
        return PyErr_Format(PyExc_TypeError, "on_commit() wants a callable, not %s",
                            Py_TYPE(fn)->tp_name);
    if (self->on_commit == NULL && (self->on_commit = PyList_New(0)) == NULL)
        return NULL;
    return PyList_Append(self->on_commit, fn) < 0 ? NULL : Py_NewRef(op);
}

static PyObject *no_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    return PyErr_Format(PyExc_TypeError, "%s is made by db(), not by hand", type->tp_name);
}

static int traverse(PyObject *op, visitproc visit, void *arg)
{
    hn_session *self = (hn_session *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->pool);
    Py_VISIT(self->on_commit);
    Py_VISIT(self->next);
    return 0;
}

/* pool and request_id stay: a finalizer in the same garbage may still call methods, and the pool
 * breaks what cycles run through it. */
static int clear(PyObject *op)
{
    Py_CLEAR(((hn_session *)op)->on_commit);
    return 0;
}

static void dealloc(PyObject *op)
{
    hn_session *self = (hn_session *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    clear(op);
    if (self->handle > 0 && self->generation == hn_core_generation() && hn_core_loaded())
        hn_go.hypern_release(self->handle);
    hn_stream_forget(self);
    Py_XDECREF((PyObject *)self->next);
    Py_XDECREF(self->pool);
    Py_XDECREF(self->request_id);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMemberDef members[] = {
    {"request_id", T_OBJECT, offsetof(hn_session, request_id), READONLY,
     "The id of the request that the session belongs to."},
    {"_open_stream", T_ULONGLONG, offsetof(hn_session, stream.number), READONLY, NULL},
    {"_is_finalizing", T_UINT, offsetof(hn_session, finalizing), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef getters[] = {
    {"alias", get_alias, NULL, "The alias of the session's database.", NULL},
    {"state", get_state, NULL,
     "idle, connected, in_transaction, committed, rolled_back or closed.", NULL},
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
    {NULL, NULL, 0, NULL},
};

/* The methods of all tables in one, as a type wants it. */
static PyMethodDef methods[32];

static void join_methods(void)
{
    size_t n = 0;
    for (const PyMethodDef *m = own_methods; m->ml_name != NULL; m++)
        methods[n++] = *m;
    for (const PyMethodDef *m = hn_statement_methods; m->ml_name != NULL; m++)
        methods[n++] = *m;
    for (const PyMethodDef *m = hn_stream_methods; m->ml_name != NULL; m++)
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
        hn_driver_may_queue = hn_standstill_refuse_wait;
    }
    return PyModule_AddType(module, hn_session_type);
}
