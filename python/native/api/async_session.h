/* AsyncSession: the same session underneath, the same methods, awaited. */
#ifndef HN_ASYNC_SESSION_H
#define HN_ASYNC_SESSION_H

#include "native.h"

int hn_async_session_ready(PyObject *module);

#endif
