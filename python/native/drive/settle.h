/* What follows from an operation of a session: the observer of its database and the on_commit
 * functions are called. */
#ifndef HN_SETTLE_H
#define HN_SETTLE_H

#include "engine/state.h"
#include "session/view.h"

/* Writes one line to the log for each database: that its connections lead to a pooler, and that the
 * server refuses a step of the reset. */
void hn_settle_log(const hn_engine *engine);

/* Whether the observer is called for it. Of a stream, each chunk counts as one statement. */
bool hn_settle_is_observed(const hn_request *request);

/* What the observer is called with besides the request. */
typedef struct hn_report {
    int64_t rows;          /* affected or returned */
    double seconds;        /* from the call to the result */
    double wait_secs;      /* of them, in the pool's queue */
    Py_ssize_t parameters; /* of the statement, of each row of MANY; -1 if it was never described */
    Py_ssize_t batch;      /* MANY: the rows that were sent; else -1 */
    PyObject *where;       /* str, host NUL port; NULL if it had no connection */
} hn_report;

/* Before the engine is freed: what it reports. has_result: it has not failed. */
void hn_settle_report(hn_report *report, const hn_engine *engine, bool has_result);

/* Calls the observer: once, or for each statement of a BATCH that has run. result, exception: what
 * the operation returned or raised; one of them is NULL. Steals report->where. */
void hn_settle_observe(hn_view *session, const hn_request *request, hn_report *report,
                       PyObject *result, PyObject *exception);

/* Before the engine is freed: the NoticeResponses that it has received, as bytes; NULL if there are
 * none. An exception that is set stays. */
PyObject *hn_settle_notices(const hn_engine *engine);

/* Delivers them: to the logger "hypern.notice" and the functions of on_notice. The lock is not
 * held. Steals notices, which may be NULL. An exception that is set stays. */
void hn_settle_deliver(hn_view *session, const hn_request *request, PyObject *notices);

/* The functions to call after an operation, as the core has decided: a list, or NULL for none.
 * Those that a rollback has undone are dropped. A session that FINALIZE has closed is no longer
 * found by its request. With the session's lock. */
PyObject *hn_settle_hooks(hn_view *session, hn_op op, const hn_call *call);

/* exception: what rolling a block back has raised; stolen. One of hypern's own errors is logged, so
 * that the caller sees the exception that has left the block: NULL. Any other comes from a signal
 * handler: it is returned, as is one that is raised meanwhile. */
PyObject *hn_settle_undo_failed(PyObject *session, PyObject *exception);

/* Calls all the functions in order. 0, or -1 with the first exception. The lock is not held: they
 * may use the session. */
int hn_settle_call(PyObject *hooks);

#endif
