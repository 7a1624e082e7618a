/* A result in chunks: what a target keeps between them.
 *
 * The core decides which stream is open and what ends it; here is the description that its rows are
 * decoded by.
 */
#ifndef HN_STREAM_H
#define HN_STREAM_H

#include "engine/state.h"

/* FETCH: decode by the description of this stream, if it is the one last opened. 0 or -1. */
int hn_stream_resume(hn_engine *engine);

/* FETCH: whether the rows of the stream, whose statement was described anew, come as the engine's
 * plan reads them; the server keeps the formats that were asked for at first. 0 or -1. */
int hn_stream_look(hn_engine *engine);

/* The outcome of STREAM or FETCH: (rows, number of the open stream or 0, columns), or NULL with an
 * exception. A reference to rows, or NULL for none, is taken over. */
PyObject *hn_stream_chunk(hn_engine *engine, PyObject *rows);

#endif
