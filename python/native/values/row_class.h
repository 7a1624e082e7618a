/* The class that rows are made of, as hypern.rows has compiled it: once for each class. Made by
 * api/row_class.c. */
#ifndef HN_ROW_CLASS_H
#define HN_ROW_CLASS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

typedef struct hn_row_class {
    PyObject_HEAD
    PyObject *into;       /* what the caller gave as into= */
    PyObject *plan;       /* hypern.rows' */
    PyObject *guards;     /* tuple of (name, value): attributes that the plan relies on */
    unsigned int version; /* of the type, when it had them */
} hn_row_class;

#endif
