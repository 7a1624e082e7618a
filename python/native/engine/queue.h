/* Threads that wait in a pool's queue, and how the giver of a connection spares them a wake-up.
 *
 * A thread that gives a connection back has the GIL. Where the next in the queue is a thread, too, the
 * giver goes on with that one's engine: it takes the step and sends the statement. The waiting thread
 * sleeps on, now for the server's answer: it polls an epoll besides its place's descriptor, and the
 * connection's socket is put into that. So a request that had to queue wakes its thread once, not twice.
 *
 * GIL held in all functions.
 */
#ifndef HN_QUEUE_H
#define HN_QUEUE_H

#include "engine/engine.h"

/* What the core is told of a blocking operation, as hn_call.home. */
uint64_t hn_queue_home(hn_engine *engine, hn_op op);

/* The core has given the engine a place in its queue, and the wait there is over. The step that gives
 * the place adds it, even where a giver takes that step: the next giver may come before the engine's
 * own thread does. */
void hn_queue_add(hn_engine *engine);
void hn_queue_remove(hn_engine *engine);

/* The core says that the wait for this descriptor is over (hn_call.woke). Whether it is a thread's. */
bool hn_queue_told(int fd);

/* What the engine's thread polls besides need_fd; -1: nothing. Afterwards it says so. */
int hn_queue_epoll(const hn_engine *engine);
void hn_queue_awake(hn_engine *engine);

/* The engine will not be used again. */
void hn_queue_free(hn_engine *engine);

/* In a forked child: nobody waits there. Async-signal-safe. */
void hn_queue_forget(void);

#endif
