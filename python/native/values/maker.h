/* What makes an object of a row's values: a class, and where in it each column goes. Of one class
 * and the columns of one description; made by hypern.rows. GIL held. */
#ifndef HN_MAKER_H
#define HN_MAKER_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum hn_making {
    HN_MAKE_DICT,     /* the dict itself */
    HN_MAKE_DOCUMENT, /* a call with the dict */
    HN_MAKE_SEQUENCE, /* a subclass of tuple */
    HN_MAKE_INSTANCE, /* an object whose attributes are set, as its __init__ would set them */
    HN_MAKE_CALL      /* a call with the values */
} hn_making;

/* A value that no column has. */
typedef struct hn_fill {
    Py_ssize_t place;
    PyObject *value;
    bool is_factory; /* the value is what it returns */
} hn_fill;

typedef struct hn_maker {
    PyObject_HEAD
    hn_making making;
    bool has_post_init;    /* INSTANCE */
    PyObject *make;        /* the class, or what is called */
    Py_ssize_t ncolumns;   /* of the description */
    Py_ssize_t nvalues;    /* of a row's object; columns and fills have a place each */
    Py_ssize_t *places;    /* by column */
    PyObject **converters; /* by column: a callable or NULL */
    PyObject *names; /* tuple. CALL: of the last values, which go by keyword. INSTANCE: of all */
    Py_ssize_t *offsets; /* INSTANCE: of the slots in the object; -1: it is set by name */
    hn_fill *fills;
    Py_ssize_t nfills;
} hn_maker;

extern PyTypeObject *hn_maker_type; /* made by api/maker.c */

/* Once, when the module is made. 0 or -1. */
int hn_maker_init(void);

/* Fills in what no column has: values has nvalues places. 0, or -1 with an exception; in both cases
 * what is in values is the caller's to drop. */
int hn_maker_fill(const hn_maker *maker, PyObject **values);

/* An object of all values; NULL with an exception. values[-1] may be changed meanwhile, and the
 * values that the object has taken over are NULL afterwards. */
PyObject *hn_maker_make(const hn_maker *maker, PyObject **values);

#endif
