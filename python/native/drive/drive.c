/* The blocking driver: runs an operation to its end on the calling thread.
 *
 * A deadline or an interrupt sends a cancel request and drains the response, so that the connection
 * stays usable. After an interrupt, if that takes longer than the grace period, or the user
 * interrupts again, the connection is shut down. After a deadline, which the caller relies on, the
 * grace period is short, and then the operation is abandoned. Where nothing has been sent to the
 * server yet, the operation is abandoned at once.
 *
 * Each of these stages begins with a look at the connection: a response that has come while another
 * thread held the GIL counts.
 */
#include "drive/drive.h"

#include "drive/driver.h"
#include "drive/settle.h"
#include "drive/wait.h"
#include "engine/step.h"

/* A signal handler has raised: its exception is the outcome, regardless of the response. */
static void interrupt(hn_driver *d)
{
    Py_CLEAR(d->engine->raised);
    hn_engine_raise(d->engine);
    if (d->engine->need == HN_NEED_WAIT && d->stage == HN_RUNNING)
        hn_engine_abandon(d->engine, 0);
    else {
        d->gave_time = true; /* after a second interrupt it waits no longer */
        hn_driver_escalate(d);
    }
}

/* One sleep in a WAIT of the core. Whether to advance, and with which wake. */
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
    /* The caller's time is up: the core reports what was waited for, or its outcome. After an
     * interrupt the limit is the end of the grace period, when the connection is closed. */
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
        int left = hn_ms_until(hn_driver_due(&d), HN_TICK_MS);
        if (hn_engine_advance(e, wake, left) == HN_OVER) {
            hn_settle_log(e);
            return hn_engine_result(e);
        }
        if (e->need == HN_NEED_WAIT) {
            while (!wait_for_core(&d, &wake))
                continue;
            continue;
        }
        if (PyErr_CheckSignals() < 0)
            interrupt(&d);
        else if (left == 0 && hn_ms_until(hn_driver_due(&d), 1) == 0) /* the round may be another */
            hn_driver_limit(&d);
    }
}
