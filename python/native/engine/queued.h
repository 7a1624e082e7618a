/* A statement of a batch as it was added: the first part of a BatchResult, without the Python type.
 *
 * It has what the statement is run with, and afterwards what it has returned. GIL held.
 */
#ifndef HN_QUEUED_H
#define HN_QUEUED_H

#include "engine/state.h"

typedef struct hn_queued {
    PyObject_HEAD
    PyObject *batch;     /* that it was added to, a reference, until it has an outcome; else NULL */
    PyObject *sql;       /* exact str */
    PyObject *params;    /* tuple that hn_check_params has accepted, or NULL */
    PyObject *into;      /* as it was given */
    PyObject *word;      /* what the result is, str */
    PyObject *row_class; /* with HN_ROW_CLASS; else NULL */
    hn_row_shape shape;
    hn_mode mode;
    bool has_outcome; /* the batch has run */
    PyObject *value;  /* the outcome; or NULL */
    PyObject *error;  /* why there is no value; or NULL */
    int64_t count;    /* of rows */
} hn_queued;

/* Takes over the outcome, and steals value and error, one of which is NULL. */
static inline void hn_queued_settle(hn_queued *self, PyObject *value, PyObject *error,
                                    int64_t count)
{
    self->count = count;
    self->has_outcome = true;
    Py_XSETREF(self->value, value);
    Py_XSETREF(self->error, error);
    Py_CLEAR(self->batch); /* which has this object: no cycle is left to the collector */
}

#endif
