/* The blocking driver: runs an operation to its end on the calling thread, with the GIL released in
 * every wait, and turns interrupts and deadlines into a cancelled statement. */
#ifndef HN_DRIVE_H
#define HN_DRIVE_H

#include "engine/engine.h"

/* How long an operation that must end is waited for before more is done about it. */
#define HN_GRACE (2000 * HN_MS)

typedef enum hn_stage { HN_RUNNING, HN_CANCELLING, HN_KILLED } hn_stage;

/* An operation under way, and what is being done about its end. */
typedef struct hn_driver {
    hn_engine *engine;
    hn_stage stage;
    bool answered; /* cancelling: the end of the request to cancel has been given its own time */
    hn_time limit; /* the caller's deadline; after it the end of the grace period */
} hn_driver;

/* The operation must end: ask, then insist, then leave. */
void hn_driver_escalate(hn_driver *driver);

/* A timeout= argument as a point in time. NULL or None: HN_NEVER. 0, or -1 with ValueError
 * (negative, NaN) or TypeError. */
int hn_deadline(PyObject *timeout, hn_time *deadline);

/* Drive an operation that has been started. A new reference, or NULL with an exception. */
PyObject *hn_drive(hn_engine *engine, hn_time deadline);

/* Sleep until fd is ready, a tick has passed, or a signal came; looks at signals afterwards.
 * 1: ready; 0: not; -1: a signal's handler raised. For waits outside an operation, too. */
int hn_wait_fd(int fd, short events, hn_time until);

#endif
