/* An awaited operation: one engine that an event loop drives, from its turn to its outcome.
 *
 *     NEW ──► QUEUED ──► RUNNING ──► OVER ──► DONE
 *       └────────────────────┘
 *
 * It begins when it is first awaited. While it is RUNNING it holds its session's lock, and the
 * watcher of its loop goes on with it whenever it can; the task that awaits it is woken once, when
 * the outcome is there. What follows from the outcome (the observer, on_commit functions) happens in
 * that task. A task that leaves, being cancelled, leaves it DETACHED: it is then ended in the
 * background, on the server too, and gives the lock when that is done.
 *
 * GIL held in all functions. An operation is its loop's thread's, but for the turn it is granted
 * and for a thread that has to drive it.
 */
#ifndef HN_OPERATION_H
#define HN_OPERATION_H

#include "awaited/watcher.h"
#include "engine/drive.h"
#include "native.h"
#include "session/lock.h"

typedef enum hn_life {
    HN_LIFE_NEW,
    HN_LIFE_QUEUED,
    HN_LIFE_RUNNING,
    HN_LIFE_OVER,    /* the outcome waits for its task */
    HN_LIFE_SETTLING, /* `inner` calls on_commit functions in the task */
    HN_LIFE_DONE
} hn_life;

struct hn_operation {
    PyObject_HEAD
    hn_session *session; /* a reference */
    PyObject *answer;    /* what the caller gets in place of None; or NULL */
    hn_request request;  /* with references */
    hn_time timeout;     /* from its beginning; HN_NEVER */

    hn_life life;
    bool detached;        /* it has a reference on itself then */
    unsigned long inside; /* the thread that is going on with it right now; 0: none */
    hn_waiter turn;
    hn_driver driver; /* engine: NULL before its turn; limit: also of the wait for that */
    PyObject *context; /* MANY: the task's, for the iterable; or NULL */
    PyObject *rows;    /* MANY: the async iterator that the task feeds it from; or NULL */
    PyObject *inner;   /* the coroutine that runs in the task: feeding, or settling; or NULL */
    PyObject *supply;  /* what the task waits for in it; or NULL */
    bool interrupted;  /* supply was cancelled, not the task */
    bool told;         /* inner was told that no more rows are wanted */
    hn_future *future; /* what the task waits for; or NULL */
    hn_time due;      /* when hn_operation_late() is wanted */

    hn_watcher *watcher; /* borrowed, until it is over; NULL: the loop has gone */
    hn_operation *peer, **peer_from;
    hn_operation *next_ready;
    bool is_ready;
    int armed_fd; /* -1: none */

    /* the outcome */
    PyObject *result;    /* NULL: exception */
    PyObject *exception;
    PyObject *hooks;     /* on_commit functions to be called; or NULL */
    int64_t count;
    hn_time began;       /* 0: nobody observes */
    double seconds;
};

int hn_operation_ready(PyObject *module);

/* awaitable.c: an operation of a session, with references of its own. answer: what it answers in
 * place of None; or NULL. */
PyObject *hn_operation_new(hn_session *session, const hn_request *request, hn_time deadline,
                           PyObject *answer);

/* One that is over, with nothing to tell. */
PyObject *hn_operation_over(hn_session *session, const hn_request *request);

/* In the task that awaits it: take a turn. 0, or -1 with an exception and life DONE. */
int hn_operation_start(hn_operation *operation);

/* In its task: the rows it needs, or with NULL the exception that is set in place of them. */
void hn_operation_feed(hn_operation *operation, PyObject *rows, bool more);
bool hn_operation_is_hungry(const hn_operation *operation);

/* The task leaves. The operation ends in the background, unless it has not begun. */
void hn_operation_leave(hn_operation *operation);

/* For the watcher: go on, a descriptor is ready; the time has come that it was due; the loop has gone. */
void hn_operation_go(hn_operation *operation);
void hn_operation_late(hn_operation *operation);
void hn_operation_lose(hn_operation *operation);

/* awaitable.c: see to what follows from the outcome of one whose task has left. */
void hn_operation_settle(hn_operation *operation);

/* For its parts: make the engine (whether there is one, or else it is over); one advance (whether the
 * engine is over); have the loop come back to it; take over the engine's outcome. */
bool hn_operation_begin(hn_operation *operation);
bool hn_operation_advance(hn_operation *operation, hn_wake wake, int block_ms);
void hn_operation_wait(hn_operation *operation);
void hn_operation_conclude(hn_operation *operation);
/* A thread that has driven it gives it back to its loop. */
void hn_operation_hand_back(hn_operation *operation);

/* For the lock. */
void hn_operation_granted(hn_operation *operation);
/* Whether the calling thread is inside it, or its loop waits for the calling thread. */
bool hn_operation_is_inside(const hn_operation *operation);
bool hn_operation_is_stranded(const hn_operation *operation);
/* Go on with a stranded operation on the calling thread, to its end or until then. 0, or -1 with
 * the exception of a signal's handler: then it is the loop's again. */
int hn_operation_drive(hn_operation *operation, hn_time until);

#endif
