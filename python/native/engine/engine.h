/* One operation on a session, as something that can be resumed: it goes on until it needs to wait,
 * returns what it needs, and is called again. It never blocks by itself, so that a blocking call
 * and an event loop can drive the same operation.
 *
 * An engine belongs to the holder of its session's lock, from hn_engine_new to hn_engine_free. All
 * functions need the GIL; it is released only around I/O. Engines are used again with their
 * buffers, so that a statement in the steady state allocates nothing here.
 */
#ifndef HN_ENGINE_H
#define HN_ENGINE_H

#include "engine/state.h"

/* Once, when the module is made. */
void hn_engine_ready(void);

/* A new operation on a target whose session's lock the caller holds. */
hn_engine *hn_engine_new(hn_target *target);
void hn_engine_free(hn_engine *engine);

/* Puts the deadline of the session's scope in the place of the caller's, if it is earlier. 0, or -1
 * with QueryCanceled: it has passed, and nothing more may begin. */
int hn_engine_limit(const hn_target *target, hn_request *request, hn_time *deadline);

/* The first step. 0, or -1 with an exception and nothing begun. */
int hn_engine_start(hn_engine *engine, const hn_request *request, hn_time deadline);

/* Goes on. wake: how a HN_NEED_WAIT has ended. block_ms: how long I/O may sleep in here, 0: not at
 * all. */
hn_progress hn_engine_advance(hn_engine *engine, hn_wake wake, int block_ms);

/* Abandons the operation, in any state. in_flags: HN_IN_LATE where its deadline has passed. */
void hn_engine_abandon(hn_engine *engine, uint32_t in_flags);

/* The round's bound has passed: to the core its connection has ended. Then advance. */
void hn_engine_expire(hn_engine *engine);

/* Sends a cancel request, or shuts the connection down (HN_CANCEL_*); the operation goes on to its
 * end. */
void hn_engine_cancel(hn_engine *engine, int how);

/* The outcome, once: a new reference, or NULL with an exception. */
PyObject *hn_engine_result(hn_engine *engine);

#endif
