/* Session: what DbSession is made of. */
#ifndef HN_SESSION_H
#define HN_SESSION_H

#include "native.h"
#include "session/database.h"

int hn_session_ready(PyObject *module);

/* The session of a request on a database, opened if need be, with a Python type derived from
 * Session. kept: what the options of its scope come to, a tuple (see _native.pyi), or None. A new
 * reference, or NULL with an exception. */
PyObject *hn_session_open(PyTypeObject *type, hn_database *database, PyObject *request_id,
                          PyObject *kept);

#endif
