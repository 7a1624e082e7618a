/* Which results come now, where one round brings those of many commands, and, for the rows of
 * query_many, which description they are read by. The commands are counted as their CommandComplete
 * frames come by. GIL held. */
#ifndef HN_READING_H
#define HN_READING_H

#include "values/codec.h"

typedef struct hn_span {
    Py_ssize_t from;             /* the first command of those with this description */
    hn_description *description; /* a reference */
    PyObject *maker;             /* of hn_description_maker; or NULL */
} hn_span;

typedef struct hn_reading {
    hn_span *spans; /* by `from`, ascending */
    size_t n, cap;
    size_t at;     /* the span that `command` is in, or one before it */
    int announced; /* which of the RowDescriptions to come is of the rows, from 1; 0: none is */
    Py_ssize_t command; /* whose rows come now; below 0: of none of the caller's */
} hn_reading;

/* The rows of `command` come next; those of commands below 0 are not the caller's. */
void hn_reading_begin(hn_reading *reading, Py_ssize_t command);

/* Whether the last span has this description. */
bool hn_reading_ends_with(const hn_reading *reading, const hn_description *description);
/* From a command on, which comes after those that were added before. maker is taken over. 0, or -1
 * with an exception. */
int hn_reading_add(hn_reading *reading, Py_ssize_t from, hn_description *description,
                   PyObject *maker);

/* The command is complete. */
void hn_reading_next(hn_reading *reading);

/* Borrowed, with its maker; NULL if no rows are expected. */
hn_description *hn_reading_description(hn_reading *reading, PyObject **maker);

void hn_reading_clear(hn_reading *reading); /* keeps its memory */
void hn_reading_free(hn_reading *reading);

#endif
