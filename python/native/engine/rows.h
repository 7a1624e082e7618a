/* The rows of a result, from the receive buffer to what the caller requested: a list, one row, one
 * value. */
#ifndef HN_ROWS_H
#define HN_ROWS_H

#include "engine/state.h"

/* Before the statement is run: whether its rows can become what is requested. 0, or -1 with an
 * exception. */
int hn_rows_prepare(hn_engine *engine);

/* MANY: from a row on, the results are read by a description. 0, or -1 with an exception. */
int hn_rows_read_by(hn_engine *engine, Py_ssize_t from, hn_description *description);

/* BATCH: the item comes up whose rows are read next, if it is one. */
void hn_rows_begin_item(hn_engine *engine);

/* Decodes the rows that the pump has left in the buffer. One that cannot be decoded is the
 * operation's outcome. */
void hn_rows_decode(hn_engine *engine);

/* The Result of a statement that has run; NULL with an exception. A reference to its rows, or NULL
 * for none, is taken over. */
PyObject *hn_rows_result(hn_engine *engine, PyObject *rows);

#endif
