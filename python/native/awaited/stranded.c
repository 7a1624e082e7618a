/* An awaited operation whose loop cannot go on with it, because the loop's own thread waits for it:
 * that thread drives it. */
#include "awaited/operation.h"

#include "awaited/loop.h"
#include "error.h"

bool hn_operation_is_inside(const hn_operation *self)
{
    return self->inside == PyThread_get_thread_ident();
}

bool hn_operation_is_stranded(const hn_operation *self)
{
    if (self->inside != 0 || self->watcher == NULL)
        return false;
    if (self->watcher->thread == PyThread_get_thread_ident())
        return true;
    return !hn_loop_is_running(self->watcher->loop);
}

/* One wait of a driving thread: 0, or -1 with an exception. *late: the operation's own time or the
 * core's is up. */
static int sleep_for(hn_operation *self, hn_time until, bool *late)
{
    hn_driver *d = &self->driver;
    const hn_engine *e = d->engine;
    *late = false;
    if (e->need != HN_NEED_WAIT)
        return PyErr_CheckSignals();
    hn_time next = until < d->limit ? until : d->limit;
    next = e->need_until < next ? e->need_until : next;
    if (hn_driver_check_queue(d->engine) < 0)
        return -1;
    int ready = hn_wait_fd(e->need_fd, e->need_events, next);
    *late = ready == 0 && (hn_ms_until(e->need_until, 1) == 0 || hn_ms_until(d->limit, 1) == 0);
    return ready < 0 ? -1 : 0;
}

int hn_operation_drive(hn_operation *self, hn_time until)
{
    int rc = 0;
    hn_wake wake = HN_WAKE_READY;
    hn_driver *d = &self->driver;
    Py_INCREF(self);
    hn_watcher_disarm(self->watcher, self);
    bool is_begun = d->engine != NULL || hn_operation_begin(self);
    self->inside = PyThread_get_thread_ident();
    bool waits = is_begun && d->engine->need == HN_NEED_WAIT;
    while (is_begun) {
        bool late = false;
        if (hn_operation_is_hungry(self)) {
            rc = hn_raise("InterfaceError", "the session is in the middle of an execute_many() "
                                            "whose rows come from this thread's event loop");
            break;
        }
        if (waits && (rc = sleep_for(self, until, &late)) < 0)
            break;
        if (waits && !late && hn_ms_until(until, 1) == 0)
            break; /* not ready: no advance */
        hn_time next = until < d->limit ? until : d->limit;
        bool overdue = hn_ms_until(d->limit, 1) == 0; /* else it has not been looked at since */
        wake = !late ? HN_WAKE_READY : overdue ? HN_WAKE_LATE : HN_WAKE_TIMEOUT;
        if (hn_operation_advance(self, wake, hn_ms_until(next, HN_TICK_MS))) {
            hn_operation_conclude(self);
            is_begun = false;
            break;
        }
        waits = d->engine->need == HN_NEED_WAIT;
        if (!waits && (rc = PyErr_CheckSignals()) < 0)
            break;
        if (overdue)
            hn_driver_limit(d);
        if (d->engine->call.want == HN_WANT_FAIL) {
            hn_operation_conclude(self);
            is_begun = false;
            break;
        }
        if (hn_ms_until(until, 1) == 0)
            break;
    }
    if (is_begun) {
        PyObject *exception = hn_exception_take();
        hn_operation_hand_back(self);
        if (exception != NULL)
            hn_exception_raise(exception);
    } else {
        self->inside = 0;
    }
    Py_DECREF(self);
    return rc;
}
