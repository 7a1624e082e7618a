/* A session for coroutines: the same session underneath, the same methods, awaited. */
#ifndef HN_AWAITED_H
#define HN_AWAITED_H

#include "native.h"

typedef struct hn_awaited {
    PyObject_HEAD
    hn_session *session; /* a reference; it knows this one, borrowed */
} hn_awaited;

int hn_awaited_ready(PyObject *module);

#endif
