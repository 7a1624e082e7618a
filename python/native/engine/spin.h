/* How long an answer that is about to come may be spun for, before an event loop is left to wait for it.
 *
 * A server on the same machine answers a short statement in some 30 us. To hand the wait to the loop costs
 * a turn of it, and where the loop's processor then goes idle, waking it again: in a virtual machine 40 us
 * and more, nearly as much of its time as the spinning takes. So a thread that has nothing else to do, as far
 * as can be told, looks for the answer for a moment. It yields the processor at each look: the server may
 * need that very one. A spin that takes as long as the loop's waits is in vain, and followed by a rest,
 * each by a longer one until a spin is of use: with a server that is further away or on the same processor,
 * or where others want it, nearly no time is lost.
 */
#ifndef HN_SPIN_H
#define HN_SPIN_H

#include "native.h"

/* One per event loop, and its thread's. */
typedef struct hn_spin {
    hn_time allowed; /* until then: so long the loop's other work may wait */
    hn_time resting; /* until then, after a spin in vain */
    hn_time rest;    /* how long that was; 0: the last spin was of use */
    hn_time usual;   /* how long the loop's waits are, about */
    hn_time slept_from, busy; /* by the wall's clock and by the thread's: see hn_spin_sleep */
} hn_spin;

/* A thread that may run on one processor only does not spin. */
void hn_spin_begin(hn_spin *spin);
/* The loop is about to wait for the one answer that is under way. */
void hn_spin_sleep(hn_spin *spin);
/* It is there. Where the thread has slept meanwhile the loop has nothing else to do, and answers may be
 * spun for as long as the budget lasts, or until others are to have their turn. */
void hn_spin_wake(hn_spin *spin, hn_time budget);
void hn_spin_stop(hn_spin *spin);

/* Until when to spin for an answer: 0 for not at all. */
hn_time hn_spin_until(const hn_spin *spin, hn_time now);
/* What came of it. */
void hn_spin_note(hn_spin *spin, hn_time began, hn_time ended, bool answered);

#endif
