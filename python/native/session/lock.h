/* The lock of a session: one operation at a time, others queue in order of arrival.
 *
 * All fields are guarded by the GIL; taking a free lock costs a comparison. A thread that waits
 * sleeps with the GIL released; any other waiter is notified when its turn comes. Both are handed
 * the lock by the holder that gives it, so that a thread that runs one statement after another
 * cannot keep the others out.
 *
 * A holder that is no thread (an awaited operation) may depend on a thread that waits for the lock:
 * an event loop in that thread would have to drive it. The waiting thread then drives it itself,
 * through the holder's functions.
 */
#ifndef HN_LOCK_H
#define HN_LOCK_H

#include "native.h"

typedef struct hn_waiter hn_waiter;

/* What the lock calls on a holder or waiter that is no thread. GIL held. */
typedef struct hn_holder_functions {
    /* The turn that was queued has come: the waiter holds the lock. */
    void (*granted)(hn_waiter *waiter);
    /* Whether the calling thread is inside the operation that holds the lock. */
    bool (*is_inside)(const hn_waiter *holder);
    /* Whether it decides what the session's transaction comes to, and ends in the background. */
    bool (*is_ending)(const hn_waiter *holder);
    /* Whether the operation can only go on if the calling thread drives it. */
    bool (*must_be_driven)(const hn_waiter *holder);
    /* Drives the operation to its end, or until then. 0, or -1 with the exception of a signal
     * handler. */
    int (*drive)(hn_waiter *holder, hn_time until);
} hn_holder_functions;

/* A place in the queue: on the stack of a waiting thread, or part of an operation. */
struct hn_waiter {
    unsigned long thread; /* the thread that waits, or that runs the operation's event loop */
    const hn_holder_functions *functions; /* NULL if a thread waits */
    PyThread_type_lock wake;              /* a thread's: held while it waits, released to wake it */
    bool woken;                           /* wake has been released */
    bool granted;
    hn_waiter *next;
};

typedef struct hn_lock {
    unsigned long owner; /* PyThread_get_thread_ident() of the holder, HN_NO_THREAD, or 0 if free */
    hn_waiter *holder;   /* for HN_NO_THREAD: borrowed, it gives the lock before it goes */
    hn_waiter *first, *last;
    unsigned long user; /* the thread that held it last, or that runs the holder's event loop */
} hn_lock;

#define HN_NO_THREAD ((unsigned long)-1)

typedef enum hn_locked {
    HN_LOCKED,       /* the caller holds it */
    HN_LOCK_QUEUED,  /* hn_lock_await: granted() will be called */
    HN_LOCK_ERROR,   /* an exception is set: a signal handler raised, or no memory */
    HN_LOCK_LATE,    /* the deadline passed */
    HN_LOCK_REENTRED /* the caller's own thread is inside the holder: waiting would never end */
} hn_locked;

/* Takes the lock for a blocking call. */
hn_locked hn_lock_take(hn_lock *lock, hn_time deadline);
/* Raises the exception for HN_LOCK_LATE (after so many seconds of a limit of that name) or
 * HN_LOCK_REENTRED. Always -1. */
int hn_lock_raise(hn_locked outcome, const char *name, double seconds);

/* Takes the lock for a waiter with functions, or queues it. */
hn_locked hn_lock_await(hn_lock *lock, hn_waiter *turn);
/* Removes a waiter from the queue. */
void hn_lock_leave(hn_lock *lock, hn_waiter *turn);

void hn_lock_give(hn_lock *lock);

/* Waits until the holder has ended, if it decides what the session's transaction comes to: 0, also
 * where the deadline has passed; -1 with an exception. */
int hn_lock_await_ending(hn_lock *lock, hn_time deadline);

/* Whether the calling thread is inside the operation that holds the lock. */
bool hn_lock_is_mine(const hn_lock *lock);

#endif
