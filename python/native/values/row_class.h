/* The class that rows are made of, as hypern.rows has compiled it. Once for each class, so that a
 * statement costs a look-up. GIL held. */
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

/* Once, when the module is made. 0 or -1. */
int hn_row_class_ready(void);

/* The class for what was given as into=, which is neither dict nor tuple; a new reference. NULL
 * with an exception if rows cannot be made of it, whatever the columns are. */
PyObject *hn_row_class_of(PyObject *into);

#endif
