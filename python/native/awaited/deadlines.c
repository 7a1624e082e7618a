/* The time limits of an awaited operation. */
#include "awaited/deadlines.h"

#include "awaited/life.h"
#include "awaited/steps.h"
#include "core/core.h"
#include "engine/step.h"
#include "error.h"

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
        hn_operation_leave_queue(self);
        return;
    }
    bool is_asked = d->stage == HN_CANCELLING;
    hn_go.hypern_cancel(target->handle, is_asked ? HN_CANCEL_KILL : HN_CANCEL_REQUEST);
    d->stage = is_asked ? HN_KILLED : HN_CANCELLING;
    d->limit = hn_now() + HN_GRACE;
    if (hn_operation_set_due(self) < 0)
        PyErr_WriteUnraisable((PyObject *)self);
}

void hn_operation_expire(hn_operation *self)
{
    if (self->request.op == HN_OP_FINALIZE) {
        escalate_holder(self);
        return;
    }
    hn_lock_raise(HN_LOCK_LATE, hn_request_limit_name(&self->request), self->request.timeout);
    hn_operation_leave_queue(self);
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

void hn_operation_check_limits(hn_operation *self)
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
        hn_operation_go_on(self, HN_WAKE_READY);
    } else if (waits && (is_due || hn_ms_until(d->engine->need_until, 1) == 0)) {
        hn_operation_go_on(self, is_due ? HN_WAKE_LATE : HN_WAKE_TIMEOUT);
    } else if (is_late && d->stage == HN_RUNNING && hn_operation_needs_rows(self)) {
        hn_driver_limit(d);
        hn_operation_go_on(self, HN_WAKE_READY);
        cancel_feeder(self);
    } else if (is_late) {
        hn_driver_limit(d);
        hn_reactor_disarm(&self->entry);
        if (d->engine->call.want == HN_WANT_FAIL)
            hn_operation_conclude(self);
        else
            hn_operation_wait(self);
    } else if (self->entry.armed_fd < 0 && !self->entry.is_ready) { /* the look has brought another
                                                                       round */
        hn_operation_wait(self);
    } else if (hn_operation_set_due(self) < 0) { /* the loop's clock was ahead of this one */
        hn_operation_abandon(self);
    }
}
