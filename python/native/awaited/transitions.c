/* What an awaited operation does about an event. */
#include "awaited/transitions.h"

#include <stdbool.h>

#define X(name, word) word,
const char *const hn_phase_words[] = {HN_PHASES(X)};
const char *const hn_driven_words[] = {HN_DRIVEN(X)};
const char *const hn_event_words[] = {HN_EVENTS(X)};
const char *const hn_action_words[] = {HN_ACTIONS(X)};
#undef X

static hn_action on_ready(hn_phase phase, hn_driven driven)
{
    if (driven == HN_BY_THREAD)
        return HN_ACTION_IGNORE; /* the thread goes on with it */
    switch (phase) {
    case HN_PHASE_GRANTED:
        return HN_ACTION_BEGIN;
    case HN_PHASE_RUNNING:
        return HN_ACTION_ADVANCE;
    default:
        return HN_ACTION_NOTIFY; /* over, and its task may have left since */
    }
}

static hn_action on_late(hn_phase phase, hn_driven driven)
{
    if (driven != HN_BY_LOOP)
        return HN_ACTION_IGNORE; /* a thread that drives it looks at the clock */
    switch (phase) {
    case HN_PHASE_QUEUED:
        return HN_ACTION_EXPIRE;
    case HN_PHASE_RUNNING:
        return HN_ACTION_CHECK_LIMITS;
    default:
        return HN_ACTION_IGNORE;
    }
}

static hn_action on_left(hn_phase phase, hn_driven driven, unsigned kind)
{
    bool must_happen = (kind & HN_MUST_HAPPEN) != 0;
    switch (phase) {
    case HN_PHASE_QUEUED:
        return must_happen ? HN_ACTION_DETACH : HN_ACTION_LEAVE_QUEUE;
    case HN_PHASE_GRANTED:
        return must_happen || driven == HN_BY_THREAD ? HN_ACTION_DETACH : HN_ACTION_ABANDON;
    case HN_PHASE_RUNNING:
        if (driven == HN_BY_THREAD) /* which goes on to the end */
            return HN_ACTION_DETACH;
        return (kind & HN_CANCELLABLE) != 0 ? HN_ACTION_CANCEL : HN_ACTION_DETACH;
    case HN_PHASE_OVER:
        return HN_ACTION_SETTLE;
    default:
        return HN_ACTION_FINISH;
    }
}

static hn_action on_lost(hn_phase phase, hn_driven driven, unsigned kind)
{
    switch (phase) {
    case HN_PHASE_QUEUED: /* one that must happen is abandoned when its turn comes */
        return (kind & HN_MUST_HAPPEN) != 0 ? HN_ACTION_DETACH : HN_ACTION_LEAVE_QUEUE;
    case HN_PHASE_GRANTED:
    case HN_PHASE_RUNNING: /* a thread that is inside ends it, or loses it again */
        return driven == HN_BY_THREAD ? HN_ACTION_IGNORE : HN_ACTION_ABANDON;
    default:
        return HN_ACTION_IGNORE;
    }
}

hn_action hn_transition(hn_phase phase, hn_driven driven, hn_event event, unsigned kind)
{
    switch (event) {
    case HN_EVENT_GRANTED:
        return driven == HN_BY_NOBODY ? HN_ACTION_ABANDON : HN_ACTION_SCHEDULE;
    case HN_EVENT_READY:
        return on_ready(phase, driven);
    case HN_EVENT_LATE:
        return on_late(phase, driven);
    case HN_EVENT_LEFT:
        return on_left(phase, driven, kind);
    case HN_EVENT_LOST:
        return on_lost(phase, driven, kind);
    case HN_EVENT_COUNT:
    default:
        return HN_ACTION_IGNORE;
    }
}
