/* A view of one of the core's sessions: what DbSession is made of.
 *
 * The view is (generation of the core, handle) and nothing more that decides. There is one view per
 * open session in a process; index.h knows them.
 */
#ifndef HN_SESSION_H
#define HN_SESSION_H

#include "engine/engine.h"
#include "native.h"
#include "session/lock.h"
#include "session/pool.h"

struct hn_session {
    PyObject_HEAD
    hn_pool *pool; /* a reference; never NULL outside of tp_clear */
    PyObject *request_id;
    int64_t handle; /* given back when the view goes; 0, -1: none */
    uint32_t generation;
    uint32_t last_state; /* the core's answer when the last operation ended */
    PyObject *on_commit; /* list of callables, or NULL */
    struct hn_stream {   /* what the open stream's chunks are decoded by; its owner is the lock's */
        uint64_t number; /* 0: none is open, as far as is known here */
        PyObject *sql;
        hn_plan *plan;
    } stream;
    hn_session *next;    /* the index's: another of the request's sessions, a reference; or NULL */
    hn_lock lock;        /* held for one operation */
    unsigned finalizing; /* awaited FINALIZEs that have begun and are not over */
    PyObject *awaited;   /* the AsyncSession over it, borrowed; NULL: none */
};

extern PyTypeObject *hn_session_type;
int hn_session_ready(PyObject *module);

/* The session of a request on a pool's alias, opened if need be; a new reference. */
PyObject *hn_session_open(hn_pool *pool, PyObject *request_id);

/* statement.c, stream.c: the methods that run something on the server. */
extern PyMethodDef hn_statement_methods[];
extern PyMethodDef hn_stream_methods[];
/* A str that the server can be given, as an exact str; NULL with an exception. */
PyObject *hn_session_check_sql(PyObject *sql);

/* What the methods of both kinds of session end in: on a Session the operation is run, on an
 * AsyncSession it is made, to be awaited. chained: what it answers is `self`, not None. */
PyObject *hn_session_do(PyObject *self, const hn_request *request, hn_time deadline, bool chained);
/* The Session that an object of either kind is, or stands for; borrowed. */
hn_session *hn_session_of(PyObject *self);
bool hn_session_is_blocking(PyObject *self);

/* run.c: one whole operation of a blocking call, under the session's lock. */
PyObject *hn_session_run(hn_session *self, const hn_request *request, hn_time deadline);
/* The same for FINALIZE: another thread's operation may go on until then, and is cancelled. */
PyObject *hn_session_finalize(hn_session *self, hn_time until);
/* 0, or -1 with InterfaceError: the view is another process's. */
int hn_session_check(const hn_session *self);

#endif
