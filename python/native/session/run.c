/* One whole operation of a blocking call, under the session's lock. */
#include "session/session.h"

#include "core/core.h"
#include "engine/drive.h"
#include "error.h"
#include "session/settle.h"
#include "session/standstill.h"

#define INSIST (2000 * HN_MS) /* how long finalize waits for a statement that it has cancelled */

typedef struct outcome {
    PyObject *result; /* NULL: an exception is set */
    int64_t count;
    PyObject *hooks; /* on_commit functions to be called; or NULL */
} outcome;

/* seconds: the timeout= that deadline stems from. */
static int lock(hn_session *self, hn_time deadline, double seconds)
{
    hn_locked locked = hn_lock_take(&self->lock, deadline);
    if (locked == HN_LOCKED)
        return 0;
    return locked == HN_LOCK_ERROR ? -1 : hn_lock_raise(locked, seconds);
}

/* The session's lock is held. */
static outcome run_locked(hn_session *self, const hn_request *request, hn_time deadline)
{
    outcome o = {.result = NULL};
    hn_engine *engine = hn_engine_new(self);
    if (engine == NULL)
        return o;
    if (hn_engine_start(engine, request) == 0) {
        o.result = hn_drive(engine, deadline);
        self->last_state = engine->call.state;
        o.count = o.result != NULL ? engine->call.count : 0;
    }
    /* Dropping what the engine holds may run Python code; the outcome's exception is kept. */
    PyObject *exception = hn_exception_take();
    o.hooks = hn_settle_hooks(self, request->op, &engine->call);
    hn_engine_free(engine);
    if (exception != NULL)
        hn_exception_raise(exception);
    return o;
}

/* The transaction is over. The lock is not held: a hook may use the session. */
static PyObject *settle(PyObject *hooks, PyObject *result)
{
    PyObject *exception = result == NULL ? hn_exception_take() : NULL;
    if (hn_settle_call(hooks) < 0)
        Py_CLEAR(result);
    Py_DECREF(hooks);
    if (exception != NULL)
        hn_exception_raise(exception);
    return result;
}

PyObject *hn_session_run(hn_session *self, const hn_request *request, hn_time deadline)
{
    bool observed = self->pool->observer != NULL && hn_settle_is_observed(request);
    hn_time began = observed ? hn_now() : 0;
    if (hn_standstill_patched && hn_standstill_refuse_hub() < 0)
        return NULL;
    if (hn_session_check(self) < 0 || lock(self, deadline, request->timeout) < 0)
        return NULL;
    outcome o = run_locked(self, request, deadline);
    hn_lock_give(&self->lock);
    if (observed) {
        PyObject *exception = hn_exception_take();
        hn_settle_observe(self->pool, request->sql, (double)(hn_now() - began) / 1e9, o.count,
                          exception);
        if (exception != NULL)
            hn_exception_raise(exception);
    }
    return o.hooks == NULL ? o.result : settle(o.hooks, o.result);
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
            return lock(self, HN_NEVER, -1);
        if (hn_session_check(self) < 0)
            return -1;
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
    if (hn_session_check(self) < 0) { /* a signal's handler has forked, and this is the child */
        hn_lock_give(&self->lock);
        return NULL;
    }
    hn_request request = {.op = HN_OP_FINALIZE, .mode = HN_MODE_NOTHING, .timeout = -1};
    outcome o = run_locked(self, &request, HN_NEVER);
    hn_lock_give(&self->lock);
    return o.hooks == NULL ? o.result : settle(o.hooks, o.result);
}
