/* Several statements in one write: laid out by the core, composed from their bodies, sent while
 * responses come in. */
#ifndef HN_BATCH_H
#define HN_BATCH_H

#include "engine/state.h"

/* Before the first step: the items, each encoded for the description it had last time. 0, or -1
 * with an exception. */
int hn_batch_start(hn_engine *engine);

/* hn_engine_advance's for WANT_BATCH. */
hn_progress hn_batch_feed(hn_engine *engine, int block_ms);

#endif
