/* What an operation works on: one of the core's sessions, and what C keeps for it between
 * operations. Guarded by the session's lock. */
#ifndef HN_TARGET_H
#define HN_TARGET_H

#include "buf.h"
#include "native.h"
#include "session/database.h"

typedef struct hn_target {
    PyObject *owner;       /* the object that this is a part of; borrowed */
    hn_database *database; /* a reference of the owner's */
    int64_t handle;        /* 0 or below if there is none */
    uint32_t generation;   /* of the core that the handle belongs to */
    uint32_t last_state;   /* what the core returned when the last operation ended */
    PyObject *on_commit;   /* list of callables, or NULL */
    hn_time deadline;      /* the scope's; 0 if there is none */
    double deadline_secs;  /* as the scope was given it */
    hn_position written;   /* the end of the log behind what it has committed; lsn 0: none */
    struct hn_stream {     /* what the chunks of the open stream are decoded by */
        uint64_t number;   /* 0 if none is open, as far as is known here */
        PyObject *sql;
        hn_description *description;
    } stream;
    hn_buf ahead; /* what has arrived of an open COPY beyond the last chunk, for the next I/O */
} hn_target;

/* 0, or -1 with InterfaceError: the target belongs to another process. */
int hn_target_check(const hn_target *target);

/* Whether the core that is loaded has the session. */
bool hn_target_is_here(const hn_target *target);

/* Drops what is kept of the stream. */
void hn_target_forget_stream(hn_target *target);
/* The session has ended: frees what is kept. */
void hn_target_clear(hn_target *target);

#endif
