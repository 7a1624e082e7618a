/* Ends an operation under way: an interrupt escalates, a deadline abandons. The blocking driver and
 * that of an event loop use it. */
#ifndef HN_DRIVER_H
#define HN_DRIVER_H

#include "engine/engine.h"

/* How long an operation that was interrupted is waited for before the next stage. */
#define HN_GRACE (2000 * HN_MS)
/* How long one whose timeout= has passed is waited for, until its connection has measured its own
 * time. */
#define HN_GRACE_LATE (200 * HN_MS)

typedef enum hn_stage { HN_RUNNING, HN_CANCELLING, HN_KILLED } hn_stage;

typedef struct hn_driver {
    hn_engine *engine;
    hn_stage stage;
    bool late;      /* the caller's timeout= has passed: the outcome is due in any case */
    bool gave_time; /* cancelling: the end of the cancel request has been given its own time */
    hn_time limit;  /* the caller's deadline; after it the end of the grace period */
} hn_driver;

/* Escalates an interrupted operation: cancel request, then socket shutdown, then abandon. */
void hn_driver_escalate(hn_driver *driver);

/* The next time that matters to an operation that does not wait for the core. */
hn_time hn_driver_due(const hn_driver *driver);

/* That time has passed, in an operation that does not wait for the core. A deadline leaves the
 * server a moment to confirm the cancel request, then abandons the operation: the core closes its
 * connection in the background. The bound of a round ends that: then advance. An interrupt
 * escalates. */
void hn_driver_limit(hn_driver *driver);

/* Whether a blocking call may stop this thread: 0, or -1 with an exception. Registered by the room
 * that finds event loops and hubs; NULL where nothing is to be checked. */
typedef struct hn_driver_checks {
    int (*may_block)(void);                    /* checked ahead of each blocking call */
    int (*may_queue)(const hn_target *target); /* checked at each tick in the pool's queue */
} hn_driver_checks;

extern hn_driver_checks hn_checks;

/* Checks may_queue if the operation is in the pool's queue. 0, or -1 with an exception. */
int hn_driver_check_queue(const hn_engine *engine);

#endif
