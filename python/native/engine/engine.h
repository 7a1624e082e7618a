/* One operation on a session, as something that can be resumed: it goes on until it needs to wait,
 * says for what, and is called again. It never blocks by itself, so that a blocking call (drive.h)
 * and an event loop can drive the same operation.
 *
 * An engine belongs to whoever holds its session's lock, from hn_engine_new to hn_engine_free. All
 * functions want the GIL; it is released only around I/O. Engines with their buffers are used
 * again, so that a statement in the steady state allocates nothing here.
 */
#ifndef HN_ENGINE_H
#define HN_ENGINE_H

#include "engine/io.h"
#include "engine/variants.h"
#include "native.h"
#include "values/codec.h"

/* What becomes of the rows. */
typedef enum hn_mode {
    HN_MODE_NOTHING,     /* None; rows are dropped */
    HN_MODE_COUNT,       /* the number of rows, as the command tag has it; rows are dropped */
    HN_MODE_ROWS,        /* a list of dicts */
    HN_MODE_CHUNK,       /* a list of dicts, and the number of the stream that has more; 0: none */
    HN_MODE_ONE,         /* the first row, or NoRows */
    HN_MODE_ONE_OR_NONE, /* the first row, or None */
    HN_MODE_ONLY,        /* the row, or NoRows, or TooManyRows */
    HN_MODE_VALUES,      /* the first column of all rows, as a list */
    HN_MODE_VALUE        /* the first row's first column, or NoRows */
} hn_mode;

typedef struct hn_request {
    hn_op op;
    PyObject *sql;    /* str, or NULL */
    PyObject *params; /* STATEMENT: checked parameters or NULL; MANY: the iterable of them */
    bool is_fed;      /* MANY: whoever drives it iterates, and gives it the rows in lists */
    hn_mode mode;
    const char *method; /* its name, for Python */
    double timeout;     /* the caller's limit in seconds, for texts; below 0: none */
    int64_t chunk;   /* STREAM, FETCH: most rows */
    uint64_t stream; /* FETCH, STREAM_END: which */
    uint32_t block;  /* ENTER, LEAVE, UNDO: which */
    uint32_t flags;  /* HN_IN_* with the first step */
} hn_request;

typedef enum hn_progress {
    HN_ON,   /* inside the engine: go on at once */
    HN_OVER, /* hn_engine_result() has the outcome */
    HN_NEEDS /* wait as `need` says, then advance */
} hn_progress;

typedef enum hn_need {
    HN_NEED_LOOK_UP, /* nothing: look at signals and clocks, then advance */
    HN_NEED_ROWS,    /* hn_many_take(), then advance */
    HN_NEED_IO,      /* need_fd to become ready for need_events, then advance */
    HN_NEED_WAIT     /* the same, until need_until at most; tell advance how it ended */
} hn_need;

/* How a wait ended. */
typedef enum hn_wake {
    HN_WAKE_READY,
    HN_WAKE_TIMEOUT, /* need_until has passed */
    HN_WAKE_LATE     /* the caller's deadline has */
} hn_wake;

struct hn_engine {
    hn_session *session; /* a reference */
    hn_request request;  /* with references */
    hn_call call;
    hn_io io;
    hn_buf body;     /* the Bind body; MANY: a batch of rows */
    bool round_open; /* io is in the round that call.want asked for */
    bool cancelled;  /* the caller's time is up, or it was interrupted */
    hn_time bound;   /* when the round ends, whatever has come; HN_NEVER */
    hn_time deadline; /* the caller's, from timeout=; HN_NEVER */

    PyObject *result; /* the list, the row or the value; NULL: none yet */
    PyObject *raised; /* what the caller gets, whatever the core will say */

    hn_declared declared; /* the types that the values want declared */
    unsigned redeclared;  /* how often, since the last values that were encoded */
    PyObject *refused; /* what encoding for `plan` has raised, while its types are looked at */
    bool asked_columns; /* the core has been asked for the domains of columns, not for types */
    hn_plan *plan; /* a reference: what body was encoded for and rows are decoded by */
    uint64_t plan_id;
    PyObject *timezone;  /* the session's, once the core has described */
    uint32_t asked[64];  /* type OIDs that the core has been asked for */
    size_t asked_count;

    PyObject *rows_left; /* MANY: the iterator; NULL: no rows for now */
    bool rows_to_come;   /* MANY: more will be given */
    PyObject *rows_kept; /* MANY: all rows so far, in case they have to be sent anew; NULL: no more */
    PyObject *rows_anew; /* MANY: the iterator over them, before rows_left */
    PyObject *row_held;  /* MANY: taken and not yet encoded; before all others */
    hn_variants variants; /* MANY: the plans that rows are encoded for */
    hn_variant *variant;  /* MANY: the one that the next Bind is for, as far as the core knows */
    bool row_declares;    /* MANY: row_held wants types declared for which there is no plan */
    bool rows_rewound;    /* MANY: all rows are to be sent anew, if the core wants so */
    bool row_refused;    /* MANY: `raised` is of a row that does not fit the plan */
    Py_ssize_t row;      /* MANY: rows encoded */
    bool rows_stopped;   /* MANY: Sync is sent in place of the rest */

    hn_need need;
    int need_fd;
    short need_events;
    hn_time need_until;

    bool is_queued;         /* see queue.h */
    struct hn_engine *next; /* in the queue */
    int epoll;              /* what its thread polls besides need_fd; 0: not made yet */
    int watched;            /* what is in epoll; 0: nothing */
    uint32_t generation;    /* of the core, that epoll was made in */
};

/* A new operation of a session whose lock the caller holds. */
hn_engine *hn_engine_new(hn_session *session);
void hn_engine_free(hn_engine *engine);

/* The first step. 0, or -1 with an exception and nothing begun. */
int hn_engine_start(hn_engine *engine, const hn_request *request, hn_time deadline);

/* Go on. wake answers a HN_NEED_WAIT. block_ms: how long I/O may sleep in here, 0: not at all. */
hn_progress hn_engine_advance(hn_engine *engine, hn_wake wake, int block_ms);

/* The wait for a connection is over; called by another thread than the engine's own, see queue.h. Goes
 * on as far as that may, without Python: whether the statement has been sent, and its answer is next. */
bool hn_engine_told(hn_engine *engine);

/* Give the operation up, in whatever state it is. in_flags: HN_IN_LATE where its deadline has passed. */
void hn_engine_abandon(hn_engine *engine, uint32_t in_flags);

/* The round's bound has passed: to the core its connection has ended. Then advance. */
void hn_engine_expire(hn_engine *engine);

/* Ask the server to cancel, or shut the connection down (HN_CANCEL_*); the operation goes on to its
 * end. */
void hn_engine_cancel(hn_engine *engine, int how);

/* Whether a signal's handler or a callable has forked, and this is the child. */
bool hn_engine_is_parents(const hn_engine *engine);

/* The outcome, once: a new reference, or NULL with an exception. */
PyObject *hn_engine_result(hn_engine *engine);

/* For the parts of the engine (describe.c, many.c, stream.c). */

/* One step of the core. */
void hn_engine_step(hn_engine *engine, hn_op op, uint32_t in_flags);
/* Take over the exception that is set as the operation's outcome; the first one counts. */
void hn_engine_raise(hn_engine *engine);
/* Whether the caller's time was up before a statement was sent whose parameters take long to encode.
 * Then QueryCanceled is set, in place of any exception. */
bool hn_engine_is_late(const hn_engine *engine);
/* Begin and end an I/O round; end hands over what was received, with CONTINUE. */
void hn_engine_open_round(hn_engine *engine);
void hn_engine_close_round(hn_engine *engine, uint32_t in_flags);
/* The pump, with the GIL released. */
hn_pumped hn_engine_pump(hn_engine *engine, int block_ms);
/* What a pump that would wait needs. */
hn_progress hn_engine_needs_io(hn_engine *engine);

#endif
