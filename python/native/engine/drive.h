/* The blocking driver: runs an operation to its end on the calling thread, with the GIL released in
 * every wait, and turns interrupts and deadlines into a cancelled statement. */
#ifndef HN_DRIVE_H
#define HN_DRIVE_H

#include "engine/engine.h"

/* How long an operation that was interrupted is waited for before more is done about its end. */
#define HN_GRACE (2000 * HN_MS)
/* How long one whose timeout= has passed is waited for, before its connection has measured better. */
#define HN_GRACE_LATE (200 * HN_MS)

typedef enum hn_stage { HN_RUNNING, HN_CANCELLING, HN_KILLED } hn_stage;

/* An operation under way, and what is being done about its end. */
typedef struct hn_driver {
    hn_engine *engine;
    hn_stage stage;
    bool late;     /* the caller's timeout= has passed: the outcome is due, whatever the server does */
    bool answered; /* cancelling: the end of the request to cancel has been given its own time */
    hn_time limit; /* the caller's deadline; after it the end of the grace period */
} hn_driver;

/* Escalates an interrupted operation: cancel request, then socket shutdown, then abandon. */
void hn_driver_escalate(hn_driver *driver);

/* The next time that matters to an operation that does not wait for the core. */
hn_time hn_driver_due(const hn_driver *driver);

/* That time has passed, in an operation that does not wait for the core. A deadline leaves the
 * server a moment to confirm the request to cancel, then abandons the operation: the core closes its
 * connection in the background. The bound of a round ends that: then advance. An interrupt escalates. */
void hn_driver_limit(hn_driver *driver);

/* A timeout= argument as a point in time, and in seconds. NULL or None: HN_NEVER, and -1. 0, or -1 with
 * ValueError (negative, NaN) or TypeError. seconds may be NULL. */
int hn_deadline(PyObject *timeout, hn_time *deadline, double *seconds);

/* Whether a thread may wait in the pool's queue for this operation: 0, or -1 with an exception. Set by
 * the sessions' room, which knows who holds the connections; NULL until then. Asked at each tick. */
extern int (*hn_driver_may_queue)(hn_engine *engine);
/* Asks it, if the operation is in the queue. */
int hn_driver_check_queue(hn_engine *engine);

/* Drive an operation that has been started. A new reference, or NULL with an exception. */
PyObject *hn_drive(hn_engine *engine, hn_time deadline);

/* Sleep until fd is ready, a tick has passed, or a signal came; looks at signals afterwards.
 * 1: ready; 0: not; -1: a signal's handler raised. For waits outside an operation, too. */
int hn_wait_fd(int fd, short events, hn_time until);

#endif
