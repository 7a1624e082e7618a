/* The lock of a session: one operation at a time, others queue in order of arrival.
 *
 * All fields are guarded by the GIL; taking a free lock costs a comparison. A thread that waits
 * sleeps with the GIL released; an awaited operation that waits is told by its turn. Both are handed
 * the lock by the one who gives it, so that a thread that runs one statement after another cannot
 * keep the others out.
 *
 * An awaited operation holds the lock for as long as its event loop drives it. A thread that has to
 * wait while that loop cannot go on, being the loop's own thread, drives the operation itself.
 */
#ifndef HN_LOCK_H
#define HN_LOCK_H

#include "native.h"

typedef struct hn_operation hn_operation; /* operation.h */
typedef struct hn_waiter hn_waiter;

typedef struct hn_lock {
    unsigned long owner;   /* PyThread_get_thread_ident() of the holder, HN_AWAITED; 0: free */
    hn_operation *awaited; /* the holder, for HN_AWAITED: borrowed, it gives the lock first */
    hn_waiter *first, *last;
    unsigned long user; /* the thread that held it last; an operation's is its loop's */
} hn_lock;

#define HN_AWAITED ((unsigned long)-1)

/* A place in the queue: on the stack of a waiting thread, or part of an operation. */
struct hn_waiter {
    unsigned long thread;    /* who waits; of an operation, its loop's */
    hn_operation *operation; /* NULL: a thread waits */
    PyThread_type_lock wake; /* a thread's: held while it waits; whoever wakes it releases it */
    bool woken;              /* wake has been released */
    bool granted;
    hn_waiter *next;
};

typedef enum hn_locked {
    HN_LOCKED,       /* the caller holds it */
    HN_LOCK_QUEUED,  /* hn_lock_await: the turn will come */
    HN_LOCK_ERROR,   /* an exception is set: a signal handler raised, or no memory */
    HN_LOCK_LATE,    /* the deadline passed */
    HN_LOCK_REENTRED /* the caller's own thread is inside the holder: waiting would never end */
} hn_locked;

/* For a blocking call. */
hn_locked hn_lock_take(hn_lock *lock, hn_time deadline);
/* The exception for HN_LOCK_LATE, after so many seconds, and HN_LOCK_REENTRED. Always -1. */
int hn_lock_raise(hn_locked outcome, double seconds);

/* For an awaited operation: hn_operation_granted() is called when a turn that was queued comes. */
hn_locked hn_lock_await(hn_lock *lock, hn_waiter *turn);
/* A turn that was queued is not waited for any more. */
void hn_lock_leave(hn_lock *lock, hn_waiter *turn);

void hn_lock_give(hn_lock *lock);

/* Whether the calling thread is inside the operation that holds the lock. */
bool hn_lock_is_mine(const hn_lock *lock);

#endif
