/* A blocking call that drives an awaited operation. */
#include "awaited/cooperative.h"

#include <stddef.h>

#include "awaited/loop.h"
#include "awaited/events.h"
#include "awaited/life.h"
#include "awaited/steps.h"
#include "drive/wait.h"
#include "error.h"

static hn_operation *operation_of(const hn_waiter *turn)
{
    return (hn_operation *)((char *)(uintptr_t)turn - offsetof(hn_operation, turn));
}

static void granted(hn_waiter *turn)
{
    hn_operation_on(operation_of(turn), HN_EVENT_GRANTED);
}

static bool is_inside(const hn_waiter *holder)
{
    const hn_operation *self = operation_of(holder);
    if (self->feeder == NULL)
        return self->inside == PyThread_get_thread_ident();
    PyObject *task = hn_loop_task();
    Py_XDECREF(task);
    return task == self->feeder;
}

static bool is_ending(const hn_waiter *holder)
{
    const hn_operation *self = operation_of(holder);
    switch (self->request.op) {
    case HN_OP_COMMIT:
    case HN_OP_ROLLBACK:
    case HN_OP_LEAVE:
    case HN_OP_UNDO:
        return self->is_detached;
    default:
        return false;
    }
}

static bool must_be_driven(const hn_waiter *holder)
{
    const hn_operation *self = operation_of(holder);
    const hn_reactor *reactor = self->entry.reactor;
    if (self->inside != 0 || reactor == NULL)
        return false;
    if (hn_reactor_thread(reactor) == PyThread_get_thread_ident())
        return true;
    return !hn_loop_is_running(hn_reactor_loop(reactor));
}

/* Sleeps while the engine waits for the core. Whether to advance: 1 with *wake, 0; -1 with an
 * exception. */
static int sleep_for_core(const hn_operation *self, hn_time until, hn_wake *wake)
{
    const hn_engine *e = self->driver.engine;
    hn_time limit = self->driver.limit;
    hn_time next = until < limit ? until : limit;
    next = e->need_until < next ? e->need_until : next;
    if (hn_driver_check_queue(e) < 0)
        return -1;
    int ready = hn_wait_fd(e->need_fd, e->need_events, next);
    *wake = ready > 0 ? HN_WAKE_READY : hn_ms_until(limit, 1) == 0 ? HN_WAKE_LATE : HN_WAKE_TIMEOUT;
    if (ready != 0)
        return ready;
    return hn_ms_until(e->need_until, 1) == 0 || hn_ms_until(limit, 1) == 0;
}

/* One turn of the drive: 1 to go on, 0 when the operation is over, -1 with an exception. */
static int turn_of(hn_operation *self, hn_time until)
{
    hn_driver *d = &self->driver;
    hn_wake wake = HN_WAKE_READY;
    if (hn_operation_needs_rows(self))
        return hn_raise("InterfaceError", "the session is in the middle of a call for many rows "
                                          "whose rows come from this thread's event loop");
    if (d->engine->need == HN_NEED_WAIT) {
        int rc = sleep_for_core(self, until, &wake);
        if (rc <= 0)
            return rc < 0 ? -1 : 1;
    }
    hn_time due = hn_driver_due(d), next = until < due ? until : due;
    bool is_late = hn_ms_until(due, 1) == 0;
    if (hn_operation_advance(self, wake, hn_ms_until(next, HN_TICK_MS))) {
        hn_operation_conclude(self);
        return 0;
    }
    if (d->engine->need != HN_NEED_WAIT && PyErr_CheckSignals() < 0)
        return -1;
    if (is_late && hn_ms_until(hn_driver_due(d), 1) == 0)
        hn_driver_limit(d);
    if (d->engine->call.want != HN_WANT_FAIL && d->engine->call.want != HN_WANT_DONE)
        return 1;
    hn_operation_conclude(self);
    return 0;
}

static int drive(hn_waiter *holder, hn_time until)
{
    hn_operation *self = operation_of(holder);
    Py_INCREF(self);
    hn_reactor_disarm(&self->entry);
    int rc = self->driver.engine != NULL || hn_operation_begin(self);
    self->inside = PyThread_get_thread_ident();
    while (rc > 0) {
        rc = turn_of(self, until);
        if (rc > 0 && hn_ms_until(until, 1) == 0)
            break;
    }
    if (rc != 0) {
        PyObject *exception = hn_exception_take();
        hn_operation_hand_back(self);
        if (exception != NULL)
            hn_exception_raise(exception);
    } else {
        self->inside = 0;
    }
    Py_DECREF(self);
    return rc < 0 ? -1 : 0;
}

const hn_holder_functions hn_cooperative_functions = {
    .granted = granted,
    .is_inside = is_inside,
    .is_ending = is_ending,
    .must_be_driven = must_be_driven,
    .drive = drive,
};
