/* One step of an operation, and one round of I/O: what the parts of the engine are made with. */
#ifndef HN_STEP_H
#define HN_STEP_H

#include "engine/state.h"

/* Calls the core once. */
void hn_engine_step(hn_engine *engine, hn_op op, uint32_t in_flags);
/* Takes over the exception that is set as the operation's outcome; the first one counts. */
void hn_engine_raise(hn_engine *engine);

/* Whether the caller's time was up before a statement was sent whose parameters take long to
 * encode. Then QueryCanceled is set, in place of any exception. */
bool hn_engine_is_late(const hn_engine *engine);

/* Begins a round. */
void hn_engine_open_round(hn_engine *engine);
/* Ends a round: hands over what was received, with CONTINUE. */
void hn_engine_close_round(hn_engine *engine, uint32_t in_flags);
/* Runs the pump, with the GIL released. */
hn_pumped hn_engine_pump(hn_engine *engine, int block_ms);
/* What a pump that would wait needs. */
hn_progress hn_engine_needs_io(hn_engine *engine);

/* Whether a signal handler or a callable has forked, and this is the child. */
bool hn_engine_is_parents(const hn_engine *engine);

#endif
