/* An awaited operation: one engine that an event loop drives, from its turn to its outcome. */
#include "awaited/operation.h"

#include <stddef.h>

#include "core/core.h"
#include "drive/settle.h"
#include "engine/many.h"
#include "engine/step.h"
#include "error.h"

/* Has LATE called at the next time that matters. */
static int set_due(hn_operation *self)
{
    const hn_engine *e = self->driver.engine;
    self->entry.due = hn_driver_due(&self->driver);
    if (e != NULL && e->need == HN_NEED_WAIT && e->need_until < self->entry.due)
        self->entry.due = e->need_until;
    return hn_reactor_set_due(&self->entry);
}

static hn_driven driven_by(const hn_operation *self)
{
    if (self->inside != 0)
        return HN_BY_THREAD;
    return self->entry.reactor == NULL ? HN_BY_NOBODY : HN_BY_LOOP;
}

/* What ends a session or a transaction() block must happen. So must a LEAVE that has not begun, as
 * the UNDO of a block whose task has left. What undoes or ends something is short, and not
 * cancelled. */
static unsigned kind_of(const hn_operation *self)
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
static void undo_instead(hn_operation *self)
{
    if (self->request.op == HN_OP_LEAVE)
        self->request.op = HN_OP_UNDO;
}

/* The end. */

/* Takes over the exception that is set. */
static void fail(hn_operation *self)
{
    Py_CLEAR(self->outcome.result);
    Py_XSETREF(self->outcome.exception, hn_exception_take());
}

/* Wakes the task. Its future may be cancelled already: then it is about to leave. */
static void wake_task(hn_operation *self)
{
    if (self->future != NULL && self->entry.reactor != NULL)
        hn_reactor_notify(self->entry.reactor, self->future);
}

/* The task that was to enter a transaction() block has left. */
static void was_not_entered(const hn_operation *self)
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
        wake_task(self);
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
        self->outcome.count = self->outcome.result != NULL ? engine->call.count : 0;
        self->driver.engine = NULL;
        self->outcome.hooks = hn_settle_hooks(session, self->request.op, &engine->call);
        hn_engine_free(engine);
    }
    if (self->is_detached)
        was_not_entered(self);
    if (self->outcome.began != 0)
        self->outcome.seconds = (double)(hn_now() - self->outcome.began) / 1e9;
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

/* It cannot go on: the exception that is set is the outcome. */
static void abandon(hn_operation *self)
{
    PyObject *exception = hn_exception_take();
    if (self->driver.engine == NULL && (kind_of(self) & HN_MUST_HAPPEN) != 0) {
        /* It has to give the connection back, or to roll back: nothing else may come to do so. */
        undo_instead(self);
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
static void leave_queue(hn_operation *self)
{
    hn_lock_leave(&self->session->lock, &self->turn);
    fail(self);
    be_over(self);
    report(self);
}

/* Going on. */

bool hn_operation_advance(hn_operation *self, hn_wake wake, int block_ms)
{
    if (self->context != NULL && PyContext_Enter(self->context) < 0)
        PyErr_WriteUnraisable(self->context);
    hn_progress progress = hn_engine_advance(self->driver.engine, wake, block_ms);
    if (self->context != NULL && PyContext_Exit(self->context) < 0)
        PyErr_WriteUnraisable(self->context);
    return progress == HN_OVER;
}

/* Has the loop come back to it. The socket may stay watched for the next statement, unless it has a
 * long result, and is readable while others have their turn. */
static void wait(hn_operation *self)
{
    const hn_engine *e = self->driver.engine;
    self->inside = 0;
    int rc = 0;
    if (e->need == HN_NEED_ROWS)
        wake_task(self);
    else if (e->need == HN_NEED_LOOK_UP)
        rc = hn_reactor_soon(&self->entry);
    else
        rc = hn_reactor_arm(&self->entry, e->need_fd, e->need_events,
                            e->io.rows != 0 ? 0 : e->call.socket);
    if (rc < 0 || set_due(self) < 0)
        abandon(self);
}

void hn_operation_hand_back(hn_operation *self)
{
    self->inside = 0;
    if (self->entry.reactor == NULL)
        hn_operation_on(self, HN_EVENT_LOST);
    else
        wait(self);
}

static void go_on(hn_operation *self, hn_wake wake)
{
    hn_reactor_disarm(&self->entry);
    self->inside = PyThread_get_thread_ident();
    if (hn_operation_advance(self, wake, 0))
        hn_operation_conclude(self);
    else
        wait(self);
}

bool hn_operation_needs_rows(const hn_operation *self)
{
    const hn_engine *e = self->driver.engine;
    return self->phase == HN_PHASE_RUNNING && e != NULL && e->need == HN_NEED_ROWS;
}

void hn_operation_feed(hn_operation *self, PyObject *rows, bool more)
{
    if (rows == NULL || hn_many_take(self->driver.engine, rows, more) < 0)
        hn_engine_raise(self->driver.engine);
    go_on(self, HN_WAKE_READY);
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

/* Limits. */

/* FINALIZE waits for the session's lock: escalates what holds it. */
static void escalate_holder(hn_operation *self)
{
    hn_driver *d = &self->driver;
    const hn_target *target = &self->session->target;
    if (d->stage == HN_KILLED)
        hn_raise("InterfaceError",
                 "the session of request %R cannot be finalized: its statement "
                 "does not end",
                 self->session->request_id);
    if (d->stage == HN_KILLED || hn_target_check(target) < 0) { /* in a forked child */
        leave_queue(self);
        return;
    }
    bool is_asked = d->stage == HN_CANCELLING;
    hn_go.hypern_cancel(target->handle, is_asked ? HN_CANCEL_KILL : HN_CANCEL_REQUEST);
    d->stage = is_asked ? HN_KILLED : HN_CANCELLING;
    d->limit = hn_now() + HN_GRACE;
    if (set_due(self) < 0)
        PyErr_WriteUnraisable((PyObject *)self);
}

static void expire(hn_operation *self)
{
    if (self->request.op == HN_OP_FINALIZE) {
        escalate_holder(self);
        return;
    }
    hn_lock_raise(HN_LOCK_LATE, self->request.timeout);
    leave_queue(self);
}

/* What has come while the loop was busy with others counts. Whether that is the end. */
static bool ends_at_a_look(hn_operation *self)
{
    hn_reactor_disarm(&self->entry);
    self->inside = PyThread_get_thread_ident();
    bool over = hn_operation_advance(self, HN_WAKE_READY, 0);
    if (over)
        hn_operation_conclude(self);
    else
        self->inside = 0;
    return over;
}

/* The operation goes on without the rows that its task collects: as asyncio.timeout. */
static void cancel_feeder(hn_operation *self)
{
    if (self->feeder == NULL || self->feeder == Py_None)
        return;
    self->has_cancelled = true;
    PyObject *cancelled = PyObject_CallMethod(self->feeder, "cancel", NULL);
    if (cancelled == NULL)
        PyErr_WriteUnraisable(self->feeder);
    Py_XDECREF(cancelled);
}

static void check_limits(hn_operation *self)
{
    hn_driver *d = &self->driver;
    bool is_late = hn_ms_until(hn_driver_due(d), 1) == 0;
    if (is_late && (d->stage != HN_RUNNING || d->engine->need == HN_NEED_IO)) {
        if (ends_at_a_look(self))
            return;
        is_late = hn_ms_until(hn_driver_due(d), 1) == 0; /* the round may be another */
    }
    bool waits = d->engine->need == HN_NEED_WAIT;
    bool is_due = is_late && (d->stage == HN_RUNNING || d->late);
    if (is_late && !waits && hn_driver_due(d) < d->limit) {
        hn_driver_limit(d);
        go_on(self, HN_WAKE_READY);
    } else if (waits && (is_due || hn_ms_until(d->engine->need_until, 1) == 0)) {
        go_on(self, is_due ? HN_WAKE_LATE : HN_WAKE_TIMEOUT);
    } else if (is_late && d->stage == HN_RUNNING && hn_operation_needs_rows(self)) {
        hn_driver_limit(d);
        go_on(self, HN_WAKE_READY);
        cancel_feeder(self);
    } else if (is_late) {
        hn_driver_limit(d);
        hn_reactor_disarm(&self->entry);
        if (d->engine->call.want == HN_WANT_FAIL)
            hn_operation_conclude(self);
        else
            wait(self);
    } else if (self->entry.armed_fd < 0 && !self->entry.is_ready) { /* the look has brought another
                                                                       round */
        wait(self);
    } else if (set_due(self) < 0) { /* the loop's clock was ahead of this one */
        abandon(self);
    }
}

/* The task has left. */

static void detach(hn_operation *self)
{
    if (!self->is_detached)
        Py_INCREF(self);
    self->is_detached = true;
    if (self->driver.engine == NULL && self->inside == 0)
        undo_instead(self);
}

static void detach_and_cancel(hn_operation *self)
{
    hn_driver *d = &self->driver;
    detach(self);
    if (d->stage != HN_RUNNING)
        return; /* it is being ended already */
    if (d->engine->need == HN_NEED_WAIT) {
        hn_reactor_disarm(&self->entry);
        PyErr_SetString(PyExc_RuntimeError, "no task waits for it");
        abandon(self);
        return;
    }
    bool needs_rows = hn_operation_needs_rows(self);
    hn_driver_escalate(d);
    if (needs_rows)
        go_on(self, HN_WAKE_READY); /* it stops by itself */
    else if (set_due(self) < 0)
        abandon(self);
}

/* Without a task there is no outcome to report. */
static void drop_place(hn_operation *self)
{
    hn_lock_leave(&self->session->lock, &self->turn);
    self->entry.due = HN_NEVER;
    if (self->entry.reactor != NULL)
        hn_reactor_remove(&self->entry);
    self->phase = HN_PHASE_DONE;
}

/* Has it abandoned, for the reason that the event gives. */
static void abandon_after(hn_operation *self, hn_event event)
{
    const char *reason = event == HN_EVENT_LEFT ? "no task waits for it"
                         : event == HN_EVENT_GRANTED
                             ? "the event loop was closed while an operation waited"
                             : "the event loop was closed while an operation ran";
    if (event == HN_EVENT_LEFT)
        detach(self);
    PyErr_SetString(PyExc_RuntimeError, reason);
    abandon(self);
}

static void act(hn_operation *self, hn_action action, hn_event event)
{
    switch (action) {
    case HN_ACTION_SCHEDULE:
        if (hn_reactor_soon(&self->entry) < 0)
            abandon(self); /* the loop is closed */
        break;
    case HN_ACTION_BEGIN:
        if (hn_operation_begin(self))
            go_on(self, HN_WAKE_READY);
        break;
    case HN_ACTION_ADVANCE:
        go_on(self, HN_WAKE_READY);
        break;
    case HN_ACTION_NOTIFY:
        wake_task(self);
        if (self->entry.reactor != NULL)
            hn_reactor_remove(&self->entry);
        break;
    case HN_ACTION_EXPIRE:
        if (hn_ms_until(self->driver.limit, 1) == 0)
            expire(self);
        break;
    case HN_ACTION_CHECK_LIMITS:
        check_limits(self);
        break;
    case HN_ACTION_DETACH:
        detach(self);
        break;
    case HN_ACTION_CANCEL:
        detach_and_cancel(self);
        break;
    case HN_ACTION_LEAVE_QUEUE:
        if (event == HN_EVENT_LEFT) {
            drop_place(self);
            break;
        }
        PyErr_SetString(PyExc_RuntimeError, "the event loop was closed while an operation waited");
        leave_queue(self);
        break;
    case HN_ACTION_ABANDON:
        abandon_after(self, event);
        break;
    case HN_ACTION_SETTLE:
        was_not_entered(self);
        self->phase = HN_PHASE_DONE;
        hn_outcome_settle(&self->outcome, self->session, &self->request);
        break;
    case HN_ACTION_FINISH:
        self->phase = HN_PHASE_DONE;
        break;
    case HN_ACTION_IGNORE:
    case HN_ACTION_COUNT:
    default:
        break;
    }
}

void hn_operation_on(hn_operation *self, hn_event event)
{
    PyObject *exception = hn_exception_take(); /* of a caller that gives the lock, or goes */
    Py_INCREF(self);
    if (event == HN_EVENT_GRANTED) {
        self->phase = HN_PHASE_GRANTED;
        self->driver.stage = HN_RUNNING;
    } else if (event == HN_EVENT_LEFT) {
        Py_CLEAR(self->future);
        Py_CLEAR(self->feeder);
    }
    act(self, hn_transition(self->phase, driven_by(self), event, kind_of(self)), event);
    Py_DECREF(self);
    if (exception != NULL)
        hn_exception_raise(exception);
}

/* The reactor's view of it. */

static hn_operation *operation_of(hn_entry *entry)
{
    return (hn_operation *)((char *)entry - offsetof(hn_operation, entry));
}

static void on_ready(hn_entry *entry)
{
    hn_operation_on(operation_of(entry), HN_EVENT_READY);
}

static void on_late(hn_entry *entry)
{
    hn_operation_on(operation_of(entry), HN_EVENT_LATE);
}

static void on_lost(hn_entry *entry)
{
    hn_operation_on(operation_of(entry), HN_EVENT_LOST);
}

static const hn_entry_functions entry_functions = {
    .ready = on_ready, .late = on_late, .lost = on_lost};

/* The beginning. */

void hn_operation_init(hn_operation *self, hn_view *session, const hn_request *request,
                       hn_time deadline, PyObject *returns)
{
    self->session = (hn_view *)Py_NewRef((PyObject *)session);
    self->returns = Py_XNewRef(returns);
    self->request = *request;
    Py_XINCREF(self->request.sql);
    Py_XINCREF(self->request.params);
    self->timeout = deadline == HN_NEVER ? HN_NEVER : deadline - hn_now();
    self->entry = (hn_entry){
        .owner = (PyObject *)self, .functions = &entry_functions, .due = HN_NEVER, .armed_fd = -1};
}

static int take_turn(hn_operation *self, hn_reactor *reactor)
{
    self->turn.thread = hn_reactor_thread(reactor);
    hn_locked locked = hn_lock_await(&self->session->lock, &self->turn);
    if (locked != HN_LOCKED && locked != HN_LOCK_QUEUED)
        return hn_lock_raise(HN_LOCK_REENTRED, -1);
    self->phase = locked == HN_LOCKED ? HN_PHASE_GRANTED : HN_PHASE_QUEUED;
    hn_reactor_add(reactor, &self->entry);
    if (locked == HN_LOCKED) {
        if (hn_operation_begin(self))
            go_on(self, HN_WAKE_READY);
        return 0;
    }
    if (set_due(self) == 0)
        return 0;
    drop_place(self);
    return -1;
}

int hn_operation_start(hn_operation *self)
{
    self->phase = HN_PHASE_DONE;
    if (hn_target_check(&self->session->target) < 0) {
        if (self->request.op != HN_OP_STREAM_END)
            return -1;
        PyErr_Clear(); /* the stream is the parent's, and ends there */
        self->outcome.result = Py_NewRef(Py_None);
        self->phase = HN_PHASE_OVER;
        return 0;
    }
    hn_reactor *reactor = hn_reactor_here();
    if (reactor == NULL)
        return -1;
    if (self->request.op == HN_OP_MANY && (self->context = PyContext_CopyCurrent()) == NULL)
        return -1;
    self->driver = (hn_driver){.engine = NULL, .stage = HN_RUNNING, .limit = HN_NEVER};
    if (self->timeout != HN_NEVER)
        self->driver.limit = hn_now() + self->timeout;
    if (self->session->target.database->observer != NULL && hn_settle_is_observed(&self->request))
        self->outcome.began = hn_now();
    bool is_finalize = self->request.op == HN_OP_FINALIZE;
    self->session->finalizing += is_finalize;
    int rc = take_turn(self, reactor);
    if (rc < 0)
        self->session->finalizing -= is_finalize;
    return rc;
}
