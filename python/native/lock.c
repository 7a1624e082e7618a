/* The lock of a session: one operation at a time, others queue in order of arrival. */
#include "lock.h"

#include <pythread.h>

/* One waiting thread, on its own stack. */
struct hn_waiter {
    unsigned long thread;
    PyThread_type_lock wake; /* held while waiting; the giver releases it */
    bool granted;
    hn_waiter *next;
};

static void leave_queue(hn_lock *lock, hn_waiter *self)
{
    hn_waiter *before = NULL;
    for (hn_waiter *w = lock->first; w != self; w = w->next)
        before = w;
    if (before == NULL)
        lock->first = self->next;
    else
        before->next = self->next;
    if (lock->last == self)
        lock->last = before;
}

static hn_locked wait_turn(hn_lock *lock, hn_waiter *self, hn_time deadline)
{
    for (;;) {
        int ms = hn_ms_until(deadline, HN_TICK_MS);
        Py_BEGIN_ALLOW_THREADS
        /* 1: a signal ends the wait */
        PyThread_acquire_lock_timed(self->wake, (PY_TIMEOUT_T)ms * 1000, 1);
        Py_END_ALLOW_THREADS
        int signalled = PyErr_CheckSignals();
        if (signalled < 0 && self->granted)
            hn_lock_give(lock);
        if (signalled < 0)
            return HN_LOCK_ERROR;
        if (self->granted)
            return HN_LOCKED;
        if (hn_ms_until(deadline, 1) == 0)
            return HN_LOCK_LATE;
    }
}

hn_locked hn_lock_take(hn_lock *lock, hn_time deadline)
{
    unsigned long me = PyThread_get_thread_ident();
    if (lock->owner == 0) {
        lock->owner = me;
        return HN_LOCKED;
    }
    if (lock->owner == me)
        return HN_LOCK_REENTRED;
    hn_waiter self = {.thread = me, .wake = PyThread_allocate_lock()};
    if (self.wake == NULL) {
        PyErr_NoMemory();
        return HN_LOCK_ERROR;
    }
    PyThread_acquire_lock(self.wake, NOWAIT_LOCK);
    if (lock->last == NULL)
        lock->first = &self;
    else
        lock->last->next = &self;
    lock->last = &self;
    hn_locked outcome = wait_turn(lock, &self, deadline);
    if (!self.granted)
        leave_queue(lock, &self);
    PyThread_free_lock(self.wake);
    return outcome;
}

void hn_lock_give(hn_lock *lock)
{
    hn_waiter *next = lock->first;
    if (next == NULL) {
        lock->owner = 0;
        return;
    }
    lock->first = next->next;
    if (lock->first == NULL)
        lock->last = NULL;
    lock->owner = next->thread;
    next->granted = true;
    PyThread_release_lock(next->wake);
}
