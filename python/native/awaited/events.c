/* What happens to an awaited operation, and what it does about it. */
#include "awaited/events.h"

#include <stddef.h>

#include "awaited/life.h"
#include "awaited/deadlines.h"
#include "awaited/steps.h"
#include "drive/settle.h"
#include "error.h"

static void detach(hn_operation *self)
{
    if (!self->is_detached)
        Py_INCREF(self);
    self->is_detached = true;
    if (self->driver.engine == NULL && self->inside == 0)
        hn_operation_undo_instead(self);
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
        hn_operation_abandon(self);
        return;
    }
    bool needs_rows = hn_operation_needs_rows(self);
    hn_driver_escalate(d);
    if (needs_rows)
        hn_operation_go_on(self, HN_WAKE_READY); /* it stops by itself */
    else if (hn_operation_set_due(self) < 0)
        hn_operation_abandon(self);
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
    hn_operation_abandon(self);
}

static void act(hn_operation *self, hn_action action, hn_event event)
{
    switch (action) {
    case HN_ACTION_SCHEDULE:
        if (hn_reactor_soon(&self->entry) < 0)
            hn_operation_abandon(self); /* the loop is closed */
        break;
    case HN_ACTION_BEGIN:
        if (hn_operation_begin(self))
            hn_operation_go_on(self, HN_WAKE_READY);
        break;
    case HN_ACTION_ADVANCE:
        hn_operation_go_on(self, HN_WAKE_READY);
        break;
    case HN_ACTION_NOTIFY:
        hn_operation_wake_task(self);
        if (self->entry.reactor != NULL)
            hn_reactor_remove(&self->entry);
        break;
    case HN_ACTION_EXPIRE:
        if (hn_ms_until(self->driver.limit, 1) == 0)
            hn_operation_expire(self);
        break;
    case HN_ACTION_CHECK_LIMITS:
        hn_operation_check_limits(self);
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
        hn_operation_leave_queue(self);
        break;
    case HN_ACTION_ABANDON:
        abandon_after(self, event);
        break;
    case HN_ACTION_SETTLE:
        hn_operation_was_not_entered(self);
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

static hn_driven driven_by(const hn_operation *self)
{
    if (self->inside != 0)
        return HN_BY_THREAD;
    return self->entry.reactor == NULL ? HN_BY_NOBODY : HN_BY_LOOP;
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
    act(self, hn_transition(self->phase, driven_by(self), event, hn_operation_kind(self)), event);
    Py_DECREF(self);
    if (exception != NULL)
        hn_exception_raise(exception);
}

void hn_operation_hand_back(hn_operation *self)
{
    self->inside = 0;
    if (self->entry.reactor == NULL)
        hn_operation_on(self, HN_EVENT_LOST);
    else
        hn_operation_wait(self);
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
    Py_XINCREF(self->request.columns);
    Py_XINCREF(self->request.into);
    self->timeout = deadline == HN_NEVER ? HN_NEVER : deadline - hn_now();
    self->entry = (hn_entry){
        .owner = (PyObject *)self, .functions = &entry_functions, .due = HN_NEVER, .armed_fd = -1};
}

static int take_turn(hn_operation *self, hn_reactor *reactor)
{
    self->turn.thread = hn_reactor_thread(reactor);
    hn_locked locked = hn_lock_await(&self->session->lock, &self->turn);
    if (locked != HN_LOCKED && locked != HN_LOCK_QUEUED)
        return hn_lock_raise(HN_LOCK_REENTRED, "", -1);
    self->phase = locked == HN_LOCKED ? HN_PHASE_GRANTED : HN_PHASE_QUEUED;
    hn_reactor_add(reactor, &self->entry);
    if (locked == HN_LOCKED) {
        if (hn_operation_begin(self))
            hn_operation_go_on(self, HN_WAKE_READY);
        return 0;
    }
    if (hn_operation_set_due(self) == 0)
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
    bool iterates = self->request.op == HN_OP_MANY || self->request.op == HN_OP_COPY_IN;
    if (iterates && (self->context = PyContext_CopyCurrent()) == NULL)
        return -1;
    hn_time limit = self->timeout == HN_NEVER ? HN_NEVER : hn_now() + self->timeout;
    if (hn_engine_limit(&self->session->target, &self->request, &limit) < 0)
        return -1;
    self->driver = (hn_driver){.engine = NULL, .stage = HN_RUNNING, .limit = limit};
    if (self->session->target.database->observer != NULL && hn_settle_is_observed(&self->request)) {
        self->outcome.began = hn_now();
        self->outcome.report.parameters = self->outcome.report.batch = -1;
        self->request.flags |= HN_IN_OBSERVED;
    }
    bool is_finalize = self->request.op == HN_OP_FINALIZE;
    self->session->finalizing += is_finalize;
    int rc = take_turn(self, reactor);
    if (rc < 0)
        self->session->finalizing -= is_finalize;
    return rc;
}
