/* How long an answer that is about to come may be spun for, before an event loop is left to wait for it. */
#define _GNU_SOURCE /* CPU_COUNT */
#include "engine/spin.h"

#include <sched.h>
#include <time.h>

#define SPIN_MAX (100 * (HN_MS / 1000)) /* for one answer */
#define REST_MIN (HN_MS / 10)
#define REST_MAX (1000 * HN_MS)

/* The processor time of this thread. */
static hn_time busy_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (hn_time)t.tv_sec * 1000 * HN_MS + t.tv_nsec;
}

void hn_spin_begin(hn_spin *self)
{
    cpu_set_t processors;
    bool is_one = sched_getaffinity(0, sizeof processors, &processors) == 0 &&
                  CPU_COUNT(&processors) == 1;
    *self = (hn_spin){.resting = is_one ? HN_NEVER : 0};
}

void hn_spin_sleep(hn_spin *self)
{
    hn_time now = hn_now();
    self->slept_from = now < self->resting ? 0 : now;
    if (self->slept_from != 0)
        self->busy = busy_time();
}

void hn_spin_wake(hn_spin *self, hn_time budget)
{
    hn_time slept_from = self->slept_from;
    if (slept_from == 0)
        return;
    hn_time now = hn_now(), took = now - slept_from;
    self->slept_from = 0;
    if (2 * (busy_time() - self->busy) >= took)
        return;
    self->usual = self->usual == 0 ? took : self->usual + (took - self->usual) / 8;
    self->allowed = now + budget;
}

void hn_spin_stop(hn_spin *self)
{
    self->allowed = 0;
}

hn_time hn_spin_until(const hn_spin *self, hn_time now)
{
    if (now >= self->allowed || now < self->resting)
        return 0;
    return now + SPIN_MAX < self->allowed ? now + SPIN_MAX : self->allowed;
}

void hn_spin_note(hn_spin *self, hn_time began, hn_time ended, bool answered)
{
    if (answered && ended - began < self->usual) {
        self->rest = 0;
        return;
    }
    self->rest = self->rest < REST_MIN ? REST_MIN : 2 * self->rest;
    if (self->rest > REST_MAX)
        self->rest = REST_MAX;
    self->resting = ended + self->rest;
}
