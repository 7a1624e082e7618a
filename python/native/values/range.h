/* What the binary and the text form of ranges share: hypern.Range taken apart and made. */
#ifndef HN_RANGE_H
#define HN_RANGE_H

#include "values/types.h"

typedef struct hn_range_parts {
    PyObject *lower, *upper; /* owned; None: infinite; NULL if empty */
    int lower_inclusive, upper_inclusive, empty;
} hn_range_parts;

PyObject *hn_range_make(PyObject *lower, PyObject *upper, int lower_inclusive, int upper_inclusive,
                        int empty);
int hn_is_range(PyObject *value);
int hn_range_split(PyObject *value, hn_range_parts *parts);
void hn_range_parts_free(hn_range_parts *parts);
/* The ranges of a multirange as a new tuple; returns what a writer does. */
int hn_as_multirange(PyObject *value, PyObject **ranges);

#endif
