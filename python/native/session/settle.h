/* What follows from an operation of a session: its pool's observer is told, and the functions that
 * wait for the commit are called. */
#ifndef HN_SETTLE_H
#define HN_SETTLE_H

#include "engine/engine.h"

/* Whether the observer is told of it. Of a stream, each chunk counts as one statement. */
bool hn_settle_is_observed(const hn_request *request);

/* exception: what the statement raised, or NULL. */
void hn_settle_observe(hn_pool *pool, PyObject *sql, double seconds, int64_t rows,
                       PyObject *exception);

/* The functions to call after an operation that began in a transaction and left the session in
 * `state`: a list, or NULL for none. After a rollback they are dropped. With the session's lock. */
PyObject *hn_settle_hooks(hn_session *session, uint32_t state, bool succeeded);

/* The same after FINALIZE; a session that is closed is no longer found. before, after: its state; 0
 * will do for the former without on_commit. aborted: FINALIZE's count. */
PyObject *hn_settle_finalized(hn_session *session, uint32_t before, uint32_t after, bool succeeded,
                              int64_t aborted);

/* Call the functions in order, all of them. The first exception is the caller's to see: 0 or -1.
 * The lock is not held: they may use the session. */
int hn_settle_call(PyObject *hooks);

#endif
