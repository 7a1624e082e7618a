/* A coroutine of hypern._awaiting that runs in the task which awaits an operation: it collects the
 * rows of an async iterable, or calls on_commit functions. GIL held. */
#ifndef HN_FEEDER_H
#define HN_FEEDER_H

#include "native.h"

typedef struct hn_feeder {
    PyObject *coroutine; /* NULL while none runs */
    PyObject *supply;    /* what the task waits for in it; or NULL */
    bool interrupted;    /* supply was cancelled, not the task */
    bool stopped;        /* no more rows are needed, and it has been notified */
} hn_feeder;

/* hypern._awaiting, borrowed; NULL with an exception. */
PyObject *hn_feeder_module(void);

/* Begins a coroutine function of that module. 0, or -1 with an exception. */
int hn_feeder_begin(hn_feeder *feeder, const char *function, PyObject *argument);

/* Resumes it, as PyIter_Send does. */
PySendResult hn_feeder_send(hn_feeder *feeder, PyObject *value, PyObject **result);

/* Throws the exception in args into it. What the task is to wait for, or NULL if it has ended. */
PyObject *hn_feeder_throw(hn_feeder *feeder, PyObject *args);

/* Throws an exception, since the operation's time has passed, the first time, and resumes it
 * then. What the task is to wait for, or NULL, without an exception, if it has ended. */
PyObject *hn_feeder_stop(hn_feeder *feeder, PyObject *value);

/* The operation's time passes while the task waits for a row: cancels what it waits for. */
void hn_feeder_interrupt(hn_feeder *feeder);

/* Closes it. 0, or -1 with an exception. */
int hn_feeder_close(hn_feeder *feeder);

int hn_feeder_traverse(const hn_feeder *feeder, visitproc visit, void *arg);
void hn_feeder_clear(hn_feeder *feeder);

#endif
