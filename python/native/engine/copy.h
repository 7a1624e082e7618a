/* The data of a COPY: encoded rows, or bytes as they are. */
#ifndef HN_COPY_H
#define HN_COPY_H

#include "engine/state.h"

/* hn_engine_advance's for WANT_COPY. */
hn_progress hn_copy_feed(hn_engine *engine, int block_ms);

/* Takes the CopyData of [walk, scan). 0, or -1 with an exception. */
int hn_copy_take(hn_engine *engine);
/* Takes the row of a CopyData, which may begin with the header of the binary format: its bytes, or
 * NULL for none. 0, or -1 with an exception. */
int hn_copy_row(hn_engine *engine, const uint8_t **data, size_t *len);
/* Whether the round has a chunk of data, and is to be ended. */
bool hn_copy_is_full(const hn_engine *engine);
/* The operation is over: keeps for the next I/O what has arrived of the open COPY behind its chunk.
 */
void hn_copy_put_aside(hn_engine *engine);

#endif
