/* The blocking driver: runs an operation to its end on the calling thread.
 *
 * A deadline or an interrupt asks the server to cancel and drains the answer, so that the
 * connection stays usable. After an interrupt, if that takes longer than the grace period, or the user
 * interrupts again, the connection is shut down. After a deadline, which the caller relies on, the
 * grace period is short, and the operation abandoned behind it. Where nothing is with the server yet,
 * the operation is given up at once.
 *
 * Each of these stages begins with a look, after its time: an answer that has come while the thread
 * could not run (somebody kept the GIL) counts.
 */
#include "engine/drive.h"

#include <math.h>
#include <poll.h>

#include "error.h"

int hn_deadline(PyObject *timeout, hn_time *deadline, double *given)
{
    *deadline = HN_NEVER;
    if (given != NULL)
        *given = -1;
    if (timeout == NULL || timeout == Py_None)
        return 0;
    double seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1.0 && PyErr_Occurred())
        return -1;
    if (isnan(seconds) || seconds < 0) {
        PyErr_SetString(PyExc_ValueError, "timeout must be None or seconds, 0 or more");
        return -1;
    }
    if (given != NULL)
        *given = seconds;
    if (seconds < 1e9)
        *deadline = hn_now() + (hn_time)(seconds * 1e9);
    return 0;
}

int hn_wait_fd(int fd, short events, hn_time until)
{
    struct pollfd p = {.fd = fd, .events = events};
    int ms = hn_ms_until(until, HN_TICK_MS);
    int n;
    Py_BEGIN_ALLOW_THREADS
    n = poll(&p, 1, ms);
    Py_END_ALLOW_THREADS
    if (PyErr_CheckSignals() < 0)
        return -1;
    return n > 0 ? 1 : 0;
}

int (*hn_driver_may_queue)(hn_engine *engine);

int hn_driver_check_queue(hn_engine *e)
{
    bool is_queued = e->need == HN_NEED_WAIT && e->call.socket != 0;
    return is_queued && hn_driver_may_queue != NULL ? hn_driver_may_queue(e) : 0;
}

void hn_driver_escalate(hn_driver *d)
{
    switch (d->stage) {
    case HN_RUNNING:
        hn_engine_cancel(d->engine, HN_CANCEL_REQUEST);
        d->stage = HN_CANCELLING;
        break;
    case HN_CANCELLING:
        if (d->engine->need == HN_NEED_WAIT && !d->answered) {
            d->answered = true; /* the answer is there: the request to cancel has to end, too */
            break;
        }
        hn_engine_cancel(d->engine, HN_CANCEL_KILL);
        d->stage = HN_KILLED;
        break;
    case HN_KILLED:
    default:
        hn_engine_abandon(d->engine, 0);
        break;
    }
    if (!d->late)
        d->limit = hn_now() + HN_GRACE;
}

void hn_driver_limit(hn_driver *d)
{
    if (d->stage == HN_RUNNING) {
        hn_time grace = d->engine->call.grace_ms * HN_MS;
        hn_engine_cancel(d->engine, HN_CANCEL_LATE);
        d->stage = HN_CANCELLING;
        d->late = true;
        d->limit = hn_now() + (grace > 0 ? grace : HN_GRACE_LATE);
    } else if (d->late) {
        hn_engine_abandon(d->engine, HN_IN_LATE);
    } else {
        hn_driver_escalate(d);
    }
}

/* A signal's handler has raised: that is the outcome, whatever the server says. */
static void interrupt(hn_driver *d)
{
    Py_CLEAR(d->engine->raised);
    hn_engine_raise(d->engine);
    if (d->engine->need == HN_NEED_WAIT && d->stage == HN_RUNNING)
        hn_engine_abandon(d->engine, 0);
    else {
        d->answered = true; /* whoever interrupts twice waits no longer */
        hn_driver_escalate(d);
    }
}

/* One sleep in a wait that the core has asked for. Whether to advance, and with what. */
static bool wait_for_core(hn_driver *d, hn_wake *wake)
{
    hn_engine *e = d->engine;
    bool late = hn_ms_until(d->limit, 1) == 0;
    hn_time until = e->need_until < d->limit ? e->need_until : d->limit;
    int ready = hn_driver_check_queue(e) < 0 ? -1 : hn_wait_fd(e->need_fd, e->need_events, until);
    *wake = ready == 1 ? HN_WAKE_READY : HN_WAKE_TIMEOUT;
    if (ready < 0) {
        interrupt(d);
        return d->engine->call.want != HN_WANT_WAIT;
    }
    if (ready == 1 || hn_engine_is_parents(e))
        return true;
    /* The caller's own time is up: the core reports what was waited for, or the outcome that it has.
     * But the end of an interrupted operation is waited for on our account, and then it is the
     * connection that must go. */
    if (late && (d->stage == HN_RUNNING || d->late)) {
        *wake = HN_WAKE_LATE;
        return true;
    }
    if (hn_ms_until(e->need_until, 1) == 0)
        return true;
    if (!late)
        return false;
    hn_driver_escalate(d);
    return d->engine->call.want != HN_WANT_WAIT;
}

PyObject *hn_drive(hn_engine *e, hn_time deadline)
{
    hn_driver d = {.engine = e, .stage = HN_RUNNING, .limit = deadline};
    hn_wake wake = HN_WAKE_READY;
    for (;;) {
        int left = hn_ms_until(d.limit, HN_TICK_MS);
        if (hn_engine_advance(e, wake, left) == HN_OVER)
            return hn_engine_result(e);
        if (e->need == HN_NEED_WAIT) {
            while (!wait_for_core(&d, &wake))
                continue;
            continue;
        }
        if (PyErr_CheckSignals() < 0)
            interrupt(&d);
        else if (left == 0)
            hn_driver_limit(&d);
    }
}
