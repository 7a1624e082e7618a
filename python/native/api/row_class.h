/* The classes that are given as into=, compiled by hypern.rows and kept. GIL held. */
#ifndef HN_API_ROW_CLASS_H
#define HN_API_ROW_CLASS_H

#include "values/row_class.h"

/* Once, when the module is made. 0 or -1. */
int hn_row_class_ready(void);

/* The class for what was given as into=, which is neither dict nor tuple; a new reference. NULL
 * with an exception if rows cannot be made of it, whatever the columns are. */
PyObject *hn_row_class_of(PyObject *into);

#endif
