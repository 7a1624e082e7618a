/* The two kinds of session, blocking and awaited, and what their methods end in. */
#ifndef HN_KINDS_H
#define HN_KINDS_H

#include "engine/state.h"
#include "native.h"
#include "session/view.h"

typedef struct hn_session {
    hn_view view;
    PyObject *awaited; /* the AsyncSession over it, borrowed, or NULL */
    /* List of the open transaction() blocks that the request may leave in their place, the
     * outermost first; or NULL. See block.c. */
    PyObject *dependencies;
} hn_session;

typedef struct hn_async_session {
    PyObject_HEAD
    hn_session *session; /* a reference; it has a borrowed one to this object */
} hn_async_session;

extern PyTypeObject *hn_session_type;       /* made by session.c */
extern PyTypeObject *hn_async_session_type; /* made by async_session.c */

bool hn_is_blocking(PyObject *session);
/* The view of a session of either kind; borrowed. */
hn_view *hn_view_of(PyObject *session);
/* The session of either kind as a Session, borrowed; NULL for what only stands for one. */
hn_session *hn_session_of(PyObject *session);

/* What every method ends in: on a Session the operation is run, on an AsyncSession it is made, to
 * be awaited. chained: it returns the session in place of None. */
PyObject *hn_do(PyObject *session, const hn_request *request, hn_time deadline, bool chained);

/* Takes into= (NULL: none was given) into the request, whose `into` is then a reference of the
 * caller's. 0, or -1 with an exception. */
int hn_take_into(hn_request *request, PyObject *into);

/* A str that the server can be given, as an exact str; NULL with an exception. */
PyObject *hn_check_sql(PyObject *sql);

/* The methods that run something on the server: of statements, of transactions, of streams,
 * of COPY. */
extern PyMethodDef hn_statement_methods[];
extern PyMethodDef hn_transaction_methods[];
extern PyMethodDef hn_stream_methods[];
extern PyMethodDef hn_batch_methods[];
extern PyMethodDef hn_copy_methods[];
/* batch.c: the base classes of a batch and of its results. 0, or -1 with an exception. */
int hn_batch_ready(PyObject *module);

#endif
