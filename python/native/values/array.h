/* What the binary and the text form of arrays share. */
#ifndef HN_ARRAY_H
#define HN_ARRAY_H

#include "values/types.h"

enum { HN_MAX_DIMENSIONS = 6 }; /* PostgreSQL's MAXDIM */

typedef struct hn_shape {
    int ndim; /* 0 if it is empty */
    int32_t sizes[HN_MAX_DIMENSIONS];
} hn_shape;

/* The shape, from the first element of each level. 0 or -1. */
int hn_measure_array(const hn_type *type, PyObject *value, hn_shape *shape);
/* One level's items as a new tuple of that size, or NULL with DataError. */
PyObject *hn_array_level(const hn_type *type, PyObject *value, int32_t size);
/* A list, tuple or set as a list or tuple (new reference); returns what a writer does. */
int hn_as_array(PyObject *value, PyObject **sequence);

#endif
