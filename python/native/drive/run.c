/* One whole operation of a blocking call, under the session's lock. */
#include "drive/run.h"

#include "core/core.h"
#include "drive/drive.h"
#include "drive/driver.h"
#include "drive/settle.h"
#include "error.h"

typedef struct outcome {
    PyObject *result;  /* NULL: an exception is set */
    PyObject *hooks;   /* on_commit functions to be called; or NULL */
    PyObject *notices; /* or NULL */
} outcome;

static int lock(hn_view *self, const hn_request *request, hn_time deadline)
{
    hn_locked locked = hn_lock_take(&self->lock, deadline);
    if (locked == HN_LOCKED)
        return 0;
    return locked == HN_LOCK_ERROR
               ? -1
               : hn_lock_raise(locked, hn_request_limit_name(request), request->timeout);
}

/* The session's lock is held. report: what its observer is called with, or NULL if it has none. */
static outcome run_locked(hn_view *self, const hn_request *request, hn_time deadline,
                          hn_report *report)
{
    outcome o = {.result = NULL};
    hn_engine *engine = hn_engine_new(&self->target);
    if (engine == NULL)
        return o;
    if (hn_engine_start(engine, request, deadline) == 0) {
        o.result = hn_drive(engine, deadline);
        self->target.last_state = engine->call.state;
    }
    /* Dropping what the engine holds may run Python code; the outcome's exception is kept. */
    PyObject *exception = hn_exception_take();
    if (report != NULL)
        hn_settle_report(report, engine, o.result != NULL);
    o.notices = hn_settle_notices(engine);
    o.hooks = hn_settle_hooks(self, request->op, &engine->call);
    hn_engine_free(engine);
    if (exception != NULL)
        hn_exception_raise(exception);
    return o;
}

/* Calls the on_commit functions. The lock is not held: they may use the session. */
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

PyObject *hn_run(hn_view *self, const hn_request *given, hn_time deadline)
{
    bool observed = self->target.database->observer != NULL && hn_settle_is_observed(given);
    hn_time began = observed ? hn_now() : 0;
    hn_report report = {.parameters = -1, .batch = -1};
    if (hn_checks.may_block != NULL && hn_checks.may_block() < 0)
        return NULL;
    hn_request limited = *given;
    const hn_request *request = &limited;
    if (observed)
        limited.flags |= HN_IN_OBSERVED;
    if (hn_target_check(&self->target) < 0 ||
        hn_engine_limit(&self->target, &limited, &deadline) < 0 ||
        lock(self, request, deadline) < 0)
        return NULL;
    outcome o = run_locked(self, request, deadline, observed ? &report : NULL);
    hn_lock_give(&self->lock);
    hn_settle_deliver(self, request, o.notices);
    if (observed) {
        PyObject *exception = hn_exception_take();
        report.seconds = (double)(hn_now() - began) / 1e9;
        hn_settle_observe(self, request, &report, o.result, exception);
        if (exception != NULL)
            hn_exception_raise(exception);
    }
    return o.hooks == NULL ? o.result : settle(o.hooks, o.result);
}

/* Takes the lock, from a thread that may be in the middle of a statement: waits, then escalates. */
static int escalate(hn_view *self, hn_time until)
{
    for (int how = HN_CANCEL_REQUEST; how <= HN_CANCEL_KILL; how++) {
        hn_locked locked = hn_lock_take(&self->lock, until);
        if (locked == HN_LOCKED)
            return 0;
        if (locked == HN_LOCK_ERROR)
            return -1;
        if (locked == HN_LOCK_REENTRED)
            return hn_lock_raise(locked, "", -1);
        if (hn_target_check(&self->target) < 0)
            return -1;
        hn_go.hypern_cancel(self->target.handle, how);
        until = hn_now() + HN_GRACE;
    }
    switch (hn_lock_take(&self->lock, until)) {
    case HN_LOCKED:
        return 0;
    case HN_LOCK_ERROR:
        return -1;
    default:
        return hn_raise("InterfaceError",
                        "the session of request %R cannot be finalized: a statement of another "
                        "thread does not end",
                        self->request_id);
    }
}

PyObject *hn_run_finalize(hn_view *self, hn_time until)
{
    if (hn_target_check(&self->target) < 0 || escalate(self, until) < 0)
        return NULL;
    if (hn_target_check(&self->target) < 0) { /* a signal handler has forked */
        hn_lock_give(&self->lock);
        return NULL;
    }
    hn_request request = {.op = HN_OP_FINALIZE, .mode = HN_MODE_NOTHING, .timeout = -1};
    hn_time never = HN_NEVER;
    (void)hn_engine_limit(&self->target, &request, &never); /* FINALIZE is not refused */
    outcome o = run_locked(self, &request, HN_NEVER, NULL);
    hn_lock_give(&self->lock);
    hn_settle_deliver(self, &request, o.notices);
    return o.hooks == NULL ? o.result : settle(o.hooks, o.result);
}
