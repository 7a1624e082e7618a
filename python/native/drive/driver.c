/* Ends an operation under way. */
#include "drive/driver.h"

hn_driver_checks hn_checks;

int hn_driver_check_queue(const hn_engine *e)
{
    bool is_queued = e->need == HN_NEED_WAIT && e->call.socket != 0;
    return is_queued && hn_checks.may_queue != NULL ? hn_checks.may_queue(e->target) : 0;
}

void hn_driver_escalate(hn_driver *d)
{
    switch (d->stage) {
    case HN_RUNNING:
        hn_engine_cancel(d->engine, HN_CANCEL_REQUEST);
        d->stage = HN_CANCELLING;
        break;
    case HN_CANCELLING:
        if (d->engine->need == HN_NEED_WAIT && !d->gave_time) {
            d->gave_time = true; /* the response is there: the cancel request has to end, too */
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

hn_time hn_driver_due(const hn_driver *d)
{
    bool is_bound = d->stage == HN_RUNNING && d->engine != NULL && d->engine->bound < d->limit;
    return is_bound ? d->engine->bound : d->limit;
}

void hn_driver_limit(hn_driver *d)
{
    if (hn_driver_due(d) < d->limit) {
        hn_engine_expire(d->engine);
    } else if (d->stage == HN_RUNNING) {
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
