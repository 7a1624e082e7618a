/* The open sessions of this process, by request: the one place that maps a request id and an alias
 * to a session. A view stays here until its session is finalized, so that a second look-up returns
 * the same object.
 *
 * GIL held in all functions. What a parent has opened is not here: a forked child begins anew.
 */
#ifndef HN_INDEX_H
#define HN_INDEX_H

#include "native.h"
#include "session/view.h"

int hn_index_ready(void);

/* The session of a request on an alias that only reads, or the one that does not, a new reference;
 * NULL without an exception if there is none. */
PyObject *hn_index_find(PyObject *request_id, PyObject *alias, bool reads);

/* All of a request's, in the order in which they were opened; alias: that one only, or NULL. */
PyObject *hn_index_list(PyObject *request_id, PyObject *alias);

/* Adds an open session that was not found; 0, or -1 with an exception. Runs no Python code. */
int hn_index_add(hn_view *session);

/* Removes a session that is closed. An exception that is set stays. */
void hn_index_remove(hn_view *session);

#endif
