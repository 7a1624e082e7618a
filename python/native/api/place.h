/* Where a transaction() block is entered: for error texts, and for who leaves it. */
#ifndef HN_PLACE_H
#define HN_PLACE_H

#include "native.h"

/* The place of the calling Python code and the BEGIN, a line each, as HN_OP_ENTER requires; a new
 * reference. is_dependency: whether a framework has entered a generator, its dependency, which
 * enters the block and is suspended inside it. */
PyObject *hn_place(PyObject *begin, bool *is_dependency);

#endif
