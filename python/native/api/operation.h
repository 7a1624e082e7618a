/* Operation: what a method of AsyncDbSession returns. */
#ifndef HN_API_OPERATION_H
#define HN_API_OPERATION_H

#include "engine/state.h"
#include "session/view.h"

int hn_operation_type_ready(PyObject *module);

/* An operation of a session, with references of its own. returns: what it returns in place of None;
 * or NULL. */
PyObject *hn_operation_new(hn_view *session, const hn_request *request, hn_time deadline,
                           PyObject *returns);

/* One that is over, and returns None. */
PyObject *hn_operation_over(hn_view *session, const hn_request *request);

/* A coroutine that awaits an execute_many and feeds it with the rows of an async iterable. Steals
 * the operation. */
PyObject *hn_operation_fed(PyObject *operation, PyObject *rows);

/* A function of the module, for tests: _transition(). */
PyObject *hn_operation_transition(PyObject *module, PyObject *args);

#endif
