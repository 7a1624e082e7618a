/* The beginning and the end of an awaited operation. */
#include "awaited/life.h"

#include "core/core.h"
#include "drive/settle.h"
#include "engine/step.h"
#include "error.h"

/* What ends a session or a transaction() block must happen. So must a LEAVE that has not begun, as
 * the UNDO of a block whose task has left. What undoes or ends something is short, and not
 * cancelled. */
unsigned hn_operation_kind(const hn_operation *self)
{
    switch (self->request.op) {
    case HN_OP_FINALIZE:
    case HN_OP_UNDO:
        return HN_MUST_HAPPEN;
    case HN_OP_LEAVE:
        return HN_MUST_HAPPEN | HN_CANCELLABLE;
    case HN_OP_ROLLBACK:
    case HN_OP_ROLLBACK_TO:
    case HN_OP_STREAM_END:
        return 0;
    default:
        return HN_CANCELLABLE;
    }
}

/* A block that was to be committed, and that its task has left before the COMMIT began, is rolled
 * back. */
void hn_operation_undo_instead(hn_operation *self)
{
    if (self->request.op == HN_OP_LEAVE)
        self->request.op = HN_OP_UNDO;
}

/* Takes over the exception that is set. */
static void fail(hn_operation *self)
{
    Py_CLEAR(self->outcome.result);
    Py_XSETREF(self->outcome.exception, hn_exception_take());
}

/* Wakes the task. Its future may be cancelled already: then it is about to leave. */
void hn_operation_wake_task(hn_operation *self)
{
    if (self->future != NULL && self->entry.reactor != NULL)
        hn_reactor_notify(self->entry.reactor, self->future);
}

/* The task that was to enter a transaction() block has left. */
void hn_operation_was_not_entered(const hn_operation *self)
{
    const hn_target *target = &self->session->target;
    if (self->request.op == HN_OP_ENTER && self->outcome.result != NULL &&
        hn_target_is_here(target))
        hn_go.hypern_state(target->handle, HN_SET_NOT_ENTERED, (int32_t)self->request.block);
}

/* The last of its own references, which it has had since its task left. */
static void settle_detached(hn_operation *self)
{
    self->is_detached = false;
    self->phase = HN_PHASE_DONE;
    hn_outcome_settle(&self->outcome, self->session, &self->request);
    Py_DECREF(self);
}

static void be_over(hn_operation *self)
{
    if (self->request.op == HN_OP_FINALIZE)
        self->session->finalizing--;
    self->entry.due = HN_NEVER;
    self->phase = HN_PHASE_OVER;
    self->inside = 0;
}

/* The outcome goes to the task that waits for it, or to none. */
static void report(hn_operation *self)
{
    hn_reactor *reactor = self->entry.reactor;
    if (self->is_detached)
        settle_detached(self);
    else if (reactor == NULL || hn_reactor_thread(reactor) == PyThread_get_thread_ident())
        hn_operation_wake_task(self);
    else if (hn_reactor_soon(&self->entry) < 0)
        PyErr_WriteUnraisable((PyObject *)self);
    if (self->entry.reactor != NULL && !self->entry.is_ready)
        hn_reactor_remove(&self->entry);
}

/* `result` or `exception` has the outcome of the engine, which is over, or was never made. The
 * session's lock goes to the next in its queue. */
static void finish(hn_operation *self)
{
    hn_view *session = self->session;
    hn_engine *engine = self->driver.engine;
    Py_INCREF(self);
    if (engine != NULL) {
        session->target.last_state = engine->call.state;
        if (self->outcome.began != 0)
            hn_settle_report(&self->outcome.report, engine, self->outcome.result != NULL);
        self->driver.engine = NULL;
        self->outcome.notices = hn_settle_notices(engine);
        self->outcome.hooks = hn_settle_hooks(session, self->request.op, &engine->call);
        hn_engine_free(engine);
    }
    if (self->is_detached)
        hn_operation_was_not_entered(self);
    if (self->outcome.began != 0)
        self->outcome.report.seconds = (double)(hn_now() - self->outcome.began) / 1e9;
    be_over(self);
    hn_lock_give(&session->lock);
    report(self);
    Py_DECREF(self);
}

void hn_operation_conclude(hn_operation *self)
{
    hn_settle_log(self->driver.engine);
    self->outcome.result = hn_engine_result(self->driver.engine);
    if (self->outcome.result == NULL)
        fail(self);
    else if (self->returns != NULL)
        Py_SETREF(self->outcome.result, Py_NewRef(self->returns));
    finish(self);
}

bool hn_operation_begin(hn_operation *self)
{
    hn_driver *d = &self->driver;
    self->inside = PyThread_get_thread_ident();
    if (self->request.op == HN_OP_FINALIZE)
        d->limit = HN_NEVER;
    d->engine = hn_engine_new(&self->session->target);
    if (d->engine != NULL && hn_engine_start(d->engine, &self->request, d->limit) == 0) {
        self->phase = HN_PHASE_RUNNING;
        return true;
    }
    fail(self);
    finish(self);
    return false;
}

/* It cannot go on: the exception that is set is the outcome. */
void hn_operation_abandon(hn_operation *self)
{
    PyObject *exception = hn_exception_take();
    if (self->driver.engine == NULL && (hn_operation_kind(self) & HN_MUST_HAPPEN) != 0) {
        /* It has to give the connection back, or to roll back: nothing else may come to do so. */
        hn_operation_undo_instead(self);
        if (!hn_operation_begin(self)) {
            Py_XDECREF(exception);
            return;
        }
    }
    if (self->driver.engine != NULL)
        hn_engine_abandon(self->driver.engine, 0);
    Py_XSETREF(self->outcome.exception, exception);
    finish(self);
}

/* It leaves the session's queue: the exception that is set is the outcome. */
void hn_operation_leave_queue(hn_operation *self)
{
    hn_lock_leave(&self->session->lock, &self->turn);
    fail(self);
    be_over(self);
    report(self);
}
