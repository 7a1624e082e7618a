/* The rows of a result, from the receive buffer to what the caller requested: a list, one row, one
 * value. */
#ifndef HN_ROWS_H
#define HN_ROWS_H

#include "engine/state.h"

/* Decodes the rows that the pump has left in the buffer. One that cannot be decoded is the
 * operation's outcome. */
void hn_rows_decode(hn_engine *engine);

#endif
