/* Maker: the Python type of what makes objects of rows, which hypern.rows calls. */
#ifndef HN_API_MAKER_H
#define HN_API_MAKER_H

#include <Python.h>

/* Once, when the module is made. 0 or -1. */
int hn_maker_ready(PyObject *module);

#endif
