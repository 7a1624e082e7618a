/* The lock of a session: one operation at a time, others queue in order of arrival. */
#include "session/lock.h"

#include <pythread.h>

#include "core/core.h"
#include "error.h"

static void enqueue(hn_lock *lock, hn_waiter *self)
{
    self->next = NULL;
    self->granted = false;
    if (lock->last == NULL)
        lock->first = self;
    else
        lock->last->next = self;
    lock->last = self;
}

void hn_lock_leave(hn_lock *lock, hn_waiter *self)
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

bool hn_lock_is_mine(const hn_lock *lock)
{
    if (lock->owner == HN_NO_THREAD)
        return lock->holder->functions->is_inside(lock->holder);
    return lock->owner == PyThread_get_thread_ident();
}

/* Sleeps until woken, a tick has passed, or a signal has come. */
static void nap(hn_waiter *self, hn_time deadline)
{
    int ms = hn_ms_until(deadline, HN_TICK_MS);
    PyLockStatus status;
    Py_BEGIN_ALLOW_THREADS
    /* 1: a signal ends the wait */
    status = PyThread_acquire_lock_timed(self->wake, (PY_TIMEOUT_T)ms * 1000, 1);
    Py_END_ALLOW_THREADS
    if (status == PY_LOCK_ACQUIRED)
        self->woken = false;
}

static hn_locked wait_turn(hn_lock *lock, hn_waiter *self, hn_time deadline)
{
    uint32_t generation = hn_core_generation();
    for (;;) {
        int failed = 0;
        hn_waiter *holder = lock->owner == HN_NO_THREAD ? lock->holder : NULL;
        if (holder != NULL && holder->functions->must_be_driven(holder)) {
            failed = holder->functions->drive(holder, deadline);
        } else {
            nap(self, deadline);
            failed = PyErr_CheckSignals();
        }
        if (failed == 0) /* in a forked child the holder may be a thread that is not there */
            failed = hn_core_check(generation);
        if (failed < 0 && self->granted)
            hn_lock_give(lock);
        if (failed < 0)
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
        lock->owner = lock->user = me;
        return HN_LOCKED;
    }
    if (hn_lock_is_mine(lock))
        return HN_LOCK_REENTRED;
    hn_waiter self = {.thread = me, .wake = PyThread_allocate_lock()};
    if (self.wake == NULL) {
        PyErr_NoMemory();
        return HN_LOCK_ERROR;
    }
    PyThread_acquire_lock(self.wake, NOWAIT_LOCK);
    enqueue(lock, &self);
    hn_locked outcome = wait_turn(lock, &self, deadline);
    if (!self.granted)
        hn_lock_leave(lock, &self);
    PyThread_free_lock(self.wake);
    return outcome;
}

hn_locked hn_lock_await(hn_lock *lock, hn_waiter *turn)
{
    if (lock->owner == 0) {
        lock->owner = HN_NO_THREAD;
        lock->user = turn->thread;
        lock->holder = turn;
        return HN_LOCKED;
    }
    if (hn_lock_is_mine(lock))
        return HN_LOCK_REENTRED;
    enqueue(lock, turn);
    return HN_LOCK_QUEUED;
}

static void wake(hn_waiter *w)
{
    if (!w->woken)
        PyThread_release_lock(w->wake);
    w->woken = true;
}

/* Hands the lock to an operation. A thread in the queue that keeps its event loop waiting must
 * drive it. */
static void grant_operation(hn_lock *lock, hn_waiter *turn)
{
    lock->owner = HN_NO_THREAD;
    lock->holder = turn;
    for (hn_waiter *w = lock->first; w != NULL; w = w->next)
        if (w->functions == NULL && w->thread == turn->thread)
            wake(w);
    turn->functions->granted(turn);
}

void hn_lock_give(hn_lock *lock)
{
    hn_waiter *next = lock->first;
    lock->owner = 0;
    lock->holder = NULL;
    if (next == NULL)
        return;
    lock->first = next->next;
    if (lock->first == NULL)
        lock->last = NULL;
    next->granted = true;
    lock->user = next->thread;
    if (next->functions != NULL) {
        grant_operation(lock, next);
        return;
    }
    lock->owner = next->thread;
    wake(next);
}

int hn_lock_await_ending(hn_lock *lock, hn_time deadline)
{
    if (lock->owner != HN_NO_THREAD || !lock->holder->functions->is_ending(lock->holder))
        return 0;
    switch (hn_lock_take(lock, deadline)) {
    case HN_LOCKED:
        hn_lock_give(lock);
        return 0;
    case HN_LOCK_ERROR:
        return -1;
    default:
        return 0;
    }
}

int hn_lock_raise(hn_locked outcome, const char *name, double seconds)
{
    char limit[32];
    (void)snprintf(limit, sizeof limit, "%.6g", seconds);
    if (outcome == HN_LOCK_LATE)
        return hn_raise("QueryCanceled",
                        "the statement was not begun: %s=%s s passed while "
                        "another thread or task used the session",
                        name, limit);
    return hn_raise("InterfaceError", "the session is in the middle of a statement of this "
                                      "thread (in a parameter, an iterable or a callable); use "
                                      "another session there");
}
