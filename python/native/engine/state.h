/* What an operation is made of: the request, the core's call, the I/O, and how far it is. */
#ifndef HN_STATE_H
#define HN_STATE_H

#include "engine/reading.h"
#include "engine/replay.h"
#include "engine/variants.h"
#include "io/io.h"
#include "native.h"
#include "session/target.h"
#include "values/codec.h"

/* What becomes of the rows. */
typedef enum hn_mode {
    HN_MODE_NOTHING,     /* None; rows are dropped */
    HN_MODE_COUNT,       /* the number of rows, as the command tag has it; rows are dropped */
    HN_MODE_DESCRIBE,    /* a Description; the statement is not run */
    HN_MODE_ROWS,        /* a list of dicts */
    HN_MODE_RESULT,      /* a Result: all rows, the columns, the count and the command tag */
    HN_MODE_CHUNK,       /* a list of dicts, the number of the stream that has more, or 0, and its
                            columns */
    HN_MODE_ONE,         /* the first row, or NoRows */
    HN_MODE_ONE_OR_NONE, /* the first row, or None */
    HN_MODE_ONLY,        /* the row, or NoRows, or TooManyRows */
    HN_MODE_VALUES,      /* the first column of all rows, as a list */
    HN_MODE_VALUE        /* the first row's first column, or NoRows */
} hn_mode;

/* What a row becomes. */
typedef enum hn_row_shape {
    HN_ROW_DICT,
    HN_ROW_TUPLE,
    HN_ROW_CLASS, /* an object of `into` */
    HN_ROW_BYTES  /* COPY_OUT: not rows, but the data in pieces */
} hn_row_shape;

typedef struct hn_request {
    hn_op op;
    PyObject *sql;    /* str, or NULL */
    PyObject *params; /* STATEMENT: checked parameters or NULL; MANY, COPY_IN: the iterable of them,
                         or of data */
    PyObject *columns; /* COPY_IN of rows: a tuple of the columns' names; or NULL */
    bool is_fed;       /* MANY, COPY_IN: the driver iterates, and gives it the rows in lists */
    hn_mode mode;
    hn_row_shape shape;
    PyObject *into;     /* with HN_ROW_CLASS: the row class; or NULL */
    bool takes_bytes;   /* bytes as `into` are HN_ROW_BYTES */
    const char *method; /* its name, for Python */
    double timeout;     /* the limit in seconds as it was given, for texts; below 0: none */
    int64_t chunk;      /* STREAM, FETCH: most rows; COPY_OUT: about as many, or bytes */
    uint64_t stream;    /* FETCH, STREAM_END: which */
    uint32_t block;     /* ENTER, LEAVE, UNDO: which */
    uint32_t flags;     /* HN_IN_* with the first step */
} hn_request;

/* One statement of a batch: what was requested, and what became of it. */
typedef struct hn_item {
    PyObject *sql;    /* a reference */
    PyObject *params; /* a reference, or NULL */
    hn_mode mode;
    hn_row_shape shape;
    PyObject *into;
    hn_declared declared; /* this and what follows: as in hn_engine */
    unsigned redeclared;
    hn_description *description;
    uint64_t plan_id;
    PyObject *maker;
    hn_buf body;
    PyObject *result;
    PyObject *raised; /* why its rows could not become a result; or NULL */
    bool is_full;     /* no more of its rows are wanted */
    int64_t count;    /* of its command tag */
    hn_buf tag;       /* with HN_MODE_RESULT: the command tag */
} hn_item;

typedef struct hn_batch {
    PyObject *list; /* of hn_queued: what the items were made from */
    hn_item *items;
    size_t n;
    size_t at;           /* the item whose fields the engine has; n: none */
    hn_call_item *calls; /* for the first step */
    size_t next;         /* of the round: the cut to be composed next */
    hn_buf out;          /* a part of the round's bytes */
} hn_batch;
/* What the limit is called, whose number of seconds is request->timeout. */
static inline const char *hn_request_limit_name(const hn_request *request)
{
    return (request->flags & HN_IN_DEADLINE) != 0 ? "deadline_secs" : "timeout";
}

typedef enum hn_progress {
    HN_ON,   /* inside the engine: go on at once */
    HN_OVER, /* hn_engine_result() has the outcome */
    HN_NEEDS /* wait as `need` says, then advance */
} hn_progress;

typedef enum hn_need {
    HN_NEED_LOOK_UP, /* nothing: look at signals and clocks, then advance */
    HN_NEED_ROWS,    /* hn_many_take(), then advance */
    HN_NEED_IO,      /* need_fd to become ready for need_events, then advance */
    HN_NEED_WAIT     /* the same, until need_until at most; advance is passed how it ended */
} hn_need;

/* How a wait ended. */
typedef enum hn_wake {
    HN_WAKE_READY,
    HN_WAKE_TIMEOUT, /* need_until has passed */
    HN_WAKE_LATE     /* the caller's deadline has */
} hn_wake;

typedef struct hn_engine {
    hn_target *target;  /* with a reference on its owner */
    hn_request request; /* with references */
    hn_call call;
    hn_io io;
    hn_buf body;      /* the Bind body; MANY: a batch of rows */
    bool round_open;  /* io is in the round of call.want */
    bool cancelled;   /* the caller's time is up, or it was interrupted */
    hn_time bound;    /* when the round ends, whatever has come; or HN_NEVER */
    hn_time deadline; /* the caller's, from timeout=; or HN_NEVER */

    PyObject *result; /* the list, the row or the value; NULL if there is none yet */
    PyObject *raised; /* what the caller gets, whatever the core will report */

    hn_declared declared;        /* the types that the values need declared */
    unsigned redeclared;         /* how often, since the last values that were encoded */
    PyObject *refused;           /* raised by encoding, while types are looked at */
    uint32_t requested_what;     /* 0: types; HN_IN_COLUMNS: columns of domains; with HN_IN_NULLS:
                                    which columns may be NULL */
    hn_description *description; /* a reference: encodes body, decodes rows */
    PyObject *maker;             /* makes rows of it objects of request.into; or NULL */
    uint64_t plan_id;
    PyObject *timezone;     /* the session's, once the core has described */
    uint32_t requested[64]; /* type OIDs requested from the core */
    size_t requested_count;

    hn_reading reading;   /* MANY, BATCH: the descriptions that results are read by, where they are
                             wanted */
    hn_replay rows;       /* MANY */
    hn_variants variants; /* MANY: the descriptions that rows are encoded for */
    hn_variant *variant;  /* MANY: the one that the core expects the next Bind for */
    bool row_declares; /* MANY: rows.held needs types declared for which there is no description */
    bool rows_rewound; /* MANY: all rows are to be sent once more, if the core needs them */
    bool row_refused;  /* MANY: `raised` is of a row that does not fit the description */
    Py_ssize_t row;    /* MANY, COPY_IN: rows encoded */
    bool rows_stopped; /* MANY, BATCH: Sync is sent in place of the rest */

    hn_batch batch; /* BATCH */

    bool header_due; /* COPY_OUT: the header of the binary format comes next */
    int64_t copied;  /* COPY_OUT of data: bytes in `result` */

    hn_need need;
    int need_fd;
    short need_events;
    hn_time need_until;
} hn_engine;

#endif
