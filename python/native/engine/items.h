/* The statements of a batch. The parts of the engine that encode for a statement or read its rows
 * know one statement: the engine has the fields of one item at a time. GIL held. */
#ifndef HN_ITEMS_H
#define HN_ITEMS_H

#include "engine/state.h"

/* From the request's list of hn_queued, which nobody changes any more. 0, or -1 with an exception.
 */
int hn_items_make(hn_engine *engine);

/* Gives the engine the fields of an item, in place of those of the one before. */
void hn_items_select(hn_engine *engine, size_t i);
/* Takes them back. */
void hn_items_put_back(hn_engine *engine);

/* Whose rows are read now; NULL if they are of none. */
hn_item *hn_items_reading(const hn_engine *engine);

/* Adds the item that the engine has to the exception that is set, as its `index`. */
void hn_items_blame(const hn_engine *engine);

/* Hands the first n of them their outcomes, and returns n as an int; NULL with an exception. */
PyObject *hn_items_settle(hn_engine *engine, size_t n);

void hn_items_free(hn_engine *engine);

#endif
