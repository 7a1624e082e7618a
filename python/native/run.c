/* One whole operation of a blocking call, under the session's lock, and what follows from it: the
 * pool's observer, and the functions that wait for the commit. */
#include "session.h"

#include "core.h"
#include "drive.h"
#include "error.h"

#define INSIST (2000 * HN_MS) /* how long finalize waits for a statement that it has cancelled */

typedef struct outcome {
    PyObject *result; /* NULL: an exception is set */
    int64_t count;
    uint32_t state;
} outcome;

static int lock(hn_session *self, hn_time deadline)
{
    switch (hn_lock_take(&self->lock, deadline)) {
    case HN_LOCKED:
        return 0;
    case HN_LOCK_LATE:
        return hn_raise("QueryCanceled", "the statement was not begun: its time ran out while "
                                         "another thread used the session");
    case HN_LOCK_REENTRED:
        return hn_raise("InterfaceError", "the session is in the middle of a statement of this "
                                          "very thread (in a parameter, an iterable or a "
                                          "callable); use another session there");
    case HN_LOCK_ERROR:
    default:
        return -1;
    }
}

/* The session's lock is held. */
static outcome run_locked(hn_session *self, const hn_request *request, hn_time deadline)
{
    outcome o = {.result = NULL, .state = self->last_state};
    hn_engine *engine = hn_engine_new(self);
    if (engine == NULL)
        return o;
    if (hn_engine_start(engine, request) == 0) {
        o.result = hn_drive(engine, deadline);
        o.state = engine->call.state;
        o.count = o.result != NULL ? engine->call.count : 0;
    }
    /* Dropping what the engine holds may run Python code; the outcome's exception is kept. */
    PyObject *exception = hn_exception_take();
    hn_engine_free(engine);
    if (exception != NULL)
        hn_exception_raise(exception);
    self->last_state = o.state;
    return o;
}

static void observe(hn_pool *pool, PyObject *sql, hn_time began, const outcome *o)
{
    PyObject *exception = hn_exception_take();
    PyObject *observer = Py_NewRef(pool->observer);
    PyObject *sqlstate =
        exception == NULL ? Py_NewRef(Py_None) : hn_exception_sqlstate(exception);
    double seconds = (double)(hn_now() - began) / 1e9;
    PyObject *answer = PyObject_CallFunction(observer, "OdLO", sql, seconds, (long long)o->count,
                                             sqlstate);
    /* The statement has its outcome; an observer's trouble is its own. */
    if (answer == NULL)
        PyErr_WriteUnraisable(observer);
    Py_XDECREF(answer);
    Py_DECREF(sqlstate);
    Py_DECREF(observer);
    if (exception != NULL)
        hn_exception_raise(exception);
}

/* Call the functions in order, all of them. The first exception is the caller's to see, 0 or -1. */
static int call_hooks(PyObject *hooks)
{
    PyObject *first = NULL;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(hooks); i++) {
        PyObject *hook = Py_NewRef(PyList_GET_ITEM(hooks, i));
        PyObject *answer = PyObject_CallNoArgs(hook);
        if (answer == NULL && first == NULL)
            first = hn_exception_take();
        else if (answer == NULL)
            PyErr_WriteUnraisable(hook);
        Py_XDECREF(answer);
        Py_DECREF(hook);
    }
    if (first == NULL)
        return 0;
    hn_exception_raise(first);
    return -1;
}

/* The transaction is over. The lock is not held: a hook may use the session. */
static PyObject *settle_hooks(hn_session *self, bool committed, PyObject *result)
{
    PyObject *exception = result == NULL ? hn_exception_take() : NULL;
    PyObject *hooks = self->on_commit;
    self->on_commit = NULL;
    if (committed && exception == NULL && call_hooks(hooks) < 0)
        Py_CLEAR(result);
    Py_DECREF(hooks);
    if (exception != NULL)
        hn_exception_raise(exception);
    return result;
}

/* Of a stream, each chunk counts as one. */
static bool is_statement(const hn_request *request)
{
    return request->op == HN_OP_STATEMENT || request->op == HN_OP_MANY ||
           (request->mode == HN_MODE_CHUNK && request->sql != NULL);
}

PyObject *hn_session_run(hn_session *self, const hn_request *request, hn_time deadline)
{
    bool observed = self->pool->observer != NULL && is_statement(request);
    hn_time began = observed ? hn_now() : 0;
    if (hn_session_check(self) < 0 || lock(self, deadline) < 0)
        return NULL;
    bool was_open = (self->last_state & HN_FLAG_IN_TRANSACTION) != 0;
    outcome o = run_locked(self, request, deadline);
    bool is_over = was_open && (o.state & HN_FLAG_IN_TRANSACTION) == 0;
    hn_lock_give(&self->lock);
    if (observed && self->pool->observer != NULL)
        observe(self->pool, request->sql, began, &o);
    if (is_over && self->on_commit != NULL)
        return settle_hooks(self, (o.state & 0xff) == HN_STATE_COMMITTED, o.result);
    return o.result;
}

/* The lock, from a thread that may be in the middle of a statement: wait, ask, insist. */
static int wrest(hn_session *self, hn_time until)
{
    for (int how = HN_CANCEL_REQUEST; how <= HN_CANCEL_KILL; how++) {
        hn_locked locked = hn_lock_take(&self->lock, until);
        if (locked == HN_LOCKED)
            return 0;
        if (locked == HN_LOCK_ERROR)
            return -1;
        if (locked == HN_LOCK_REENTRED)
            return lock(self, HN_NEVER);
        hn_go.hypern_cancel(self->handle, how);
        until = hn_now() + INSIST;
    }
    switch (hn_lock_take(&self->lock, until)) {
    case HN_LOCKED:
        return 0;
    case HN_LOCK_ERROR:
        return -1;
    default:
        return hn_raise("InterfaceError", "the session of request %R cannot be finalized: another "
                                          "thread does not leave its statement", self->request_id);
    }
}

PyObject *hn_session_finalize(hn_session *self, hn_time until)
{
    if (hn_session_check(self) < 0 || wrest(self, until) < 0)
        return NULL;
    uint32_t before = hn_go.hypern_state(self->handle, HN_SET_NOTHING, 0);
    if ((before & 0xff) == HN_STATE_CLOSED) {
        hn_lock_give(&self->lock);
        Py_RETURN_FALSE; /* another thread was first */
    }
    hn_request request = {.op = HN_OP_FINALIZE, .mode = HN_MODE_NOTHING};
    outcome o = run_locked(self, &request, HN_NEVER);
    if ((hn_go.hypern_state(self->handle, HN_SET_NOTHING, 0) & 0xff) == HN_STATE_CLOSED)
        hn_session_forget(self);
    hn_lock_give(&self->lock);
    /* count 1: the transaction that was to be committed had been aborted. */
    bool aborted = o.count != 0;
    if (self->on_commit != NULL) {
        bool open = (before & HN_FLAG_IN_TRANSACTION) != 0;
        bool committed = o.result != NULL && !aborted && (before & HN_FLAG_ERROR) == 0 &&
                         (!open || (before & HN_FLAG_AUTO_COMMIT) != 0);
        o.result = settle_hooks(self, committed, o.result);
    }
    if (o.result == NULL)
        return NULL;
    Py_DECREF(o.result);
    return PyBool_FromLong(aborted);
}
