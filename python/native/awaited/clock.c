/* The one timer of an event loop's operations. */
#include "awaited/clock.h"

#include <sys/timerfd.h>
#include <unistd.h>

int hn_clock_open(hn_clock *self)
{
    self->at = HN_NEVER;
    self->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (self->fd >= 0)
        return 0;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

int hn_clock_set(hn_clock *self, hn_time when)
{
    if (self->at <= when)
        return 0;
    if (when < 1)
        when = 1; /* 0 would unset it */
    struct itimerspec at = {
        .it_value = {.tv_sec = when / (1000 * HN_MS), .tv_nsec = when % (1000 * HN_MS)}};
    if (timerfd_settime(self->fd, TFD_TIMER_ABSTIME, &at, NULL) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    self->at = when;
    return 0;
}

bool hn_clock_has_expired(hn_clock *self)
{
    uint64_t count;
    if (read(self->fd, &count, sizeof count) < 0)
        return false; /* it was set anew meanwhile */
    self->at = HN_NEVER;
    return true;
}
