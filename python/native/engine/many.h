/* The rows of execute_many: encoded in batches from any iterable and sent while responses come
 * in. */
#ifndef HN_MANY_H
#define HN_MANY_H

#include "engine/state.h"

/* Before the first step: the iterator. 0 or -1. */
int hn_many_start(hn_engine *engine);

/* WANT_ENCODE: whether the next row, if one is at hand, needs other types declared than the
 * description has: HN_NEED_DECLARED, else 0; -1 with an exception. */
int hn_many_look(hn_engine *engine);

/* HN_NEED_ROWS: the next rows, and whether there may be more. 0 or -1. */
int hn_many_take(hn_engine *engine, PyObject *rows, bool more);

/* hn_engine_advance's for WANT_ROWS. */
hn_progress hn_many_feed(hn_engine *engine, int block_ms);

#endif
