/* The rows of execute_many, which may have to be sent once more: they are taken from an iterable,
 * kept until the server has accepted the first of them, and replayed for a fresh description. GIL
 * held. */
#ifndef HN_REPLAY_H
#define HN_REPLAY_H

#include "native.h"

typedef struct hn_replay {
    PyObject *held;  /* taken and not yet encoded; before all others */
    PyObject *again; /* an iterator over those to be sent once more; before `left` */
    PyObject *left;  /* the iterator; NULL while there are no rows */
    PyObject *kept;  /* all rows so far: a list, or the caller's own; NULL if none are kept */
    bool is_own;     /* kept: the caller's own list or tuple, which has every row already */
    bool to_come;    /* more will be given */
} hn_replay;

/* Takes the rows from an iterable; NULL: they will be given. 0, or -1 with an exception. */
int hn_replay_begin(hn_replay *rows, PyObject *iterable);
/* The next rows, and whether there may be more. 0, or -1 with an exception. */
int hn_replay_give(hn_replay *rows, PyObject *iterable, bool more);
/* Whether the next row has to be given first. */
bool hn_replay_lacks_rows(const hn_replay *rows);

/* The next row, a new reference; NULL: there is none for now, or an exception is set. */
PyObject *hn_replay_next(hn_replay *rows);
/* Puts a row back, to be the next. */
void hn_replay_hold(hn_replay *rows, PyObject *row);

/* Keeps the rows from here on; all: the caller's own list or tuple of them, or NULL. 0, or -1 with
 * an exception. */
int hn_replay_start_keeping(hn_replay *rows, PyObject *all);
int hn_replay_keep(hn_replay *rows, PyObject *row);
void hn_replay_stop_keeping(hn_replay *rows);
/* Goes back to the first row that was kept. 0, or -1 with an exception. */
int hn_replay_rewind(hn_replay *rows);

void hn_replay_clear(hn_replay *rows);

#endif
