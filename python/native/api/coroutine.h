/* What the Python types with the protocol of a coroutine share. */
#ifndef HN_COROUTINE_H
#define HN_COROUTINE_H

#include "native.h"

/* send() and tp_iternext of a type with an am_send slot: as a generator's, the value that it
 * returns is in a StopIteration. */
PyObject *hn_coroutine_send(PyObject *self, PyObject *value);
PyObject *hn_coroutine_next(PyObject *self);

/* coroutine.throw(*args): what its task is to wait for; or NULL with the exception with which it
 * has ended, StopIteration if it has returned. */
PyObject *hn_coroutine_throw(PyObject *coroutine, PyObject *args);

#endif
