/* The lock of a session: one operation at a time, others queue in order of arrival.
 *
 * All fields are guarded by the GIL; taking a free lock costs a comparison. A waiter sleeps with
 * the GIL released and is handed the lock by the one who releases it, so that a thread that runs
 * one statement after another cannot keep the others out.
 */
#ifndef HN_LOCK_H
#define HN_LOCK_H

#include "native.h"

typedef struct hn_waiter hn_waiter;

typedef struct hn_lock {
    unsigned long owner; /* PyThread_get_thread_ident() of the holder; 0: free */
    hn_waiter *first, *last;
} hn_lock;

typedef enum hn_locked {
    HN_LOCKED,       /* the caller holds it */
    HN_LOCK_ERROR,   /* an exception is set: a signal handler raised, or no memory */
    HN_LOCK_LATE,    /* the deadline passed */
    HN_LOCK_REENTRED /* the caller's own thread holds it: waiting would never end */
} hn_locked;

hn_locked hn_lock_take(hn_lock *lock, hn_time deadline);
void hn_lock_give(hn_lock *lock);

#endif
