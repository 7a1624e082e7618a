/* Pool: one configured alias. */
#ifndef HN_POOL_H
#define HN_POOL_H

#include "native.h"

int hn_pool_ready(PyObject *module);

#endif
