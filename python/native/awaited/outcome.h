/* The outcome of an awaited operation, and what follows from it. GIL held. */
#ifndef HN_OUTCOME_H
#define HN_OUTCOME_H

#include "drive/settle.h"
#include "engine/state.h"
#include "native.h"
#include "session/view.h"

typedef struct hn_outcome {
    PyObject *result; /* NULL: exception */
    PyObject *exception;
    PyObject *hooks;   /* on_commit functions to be called; or NULL */
    PyObject *notices; /* or NULL */
    hn_time began;     /* 0 if it is not observed */
    hn_report report;  /* if it is */
} hn_outcome;

/* hypern._awaiting, borrowed: the parts that are Python. NULL with an exception. */
PyObject *hn_outcome_module(void);

/* Delivers the notices, and calls the observer of its database, if it is observed. */
void hn_outcome_observe(hn_outcome *outcome, hn_view *session, const hn_request *request);

/* Sees to it in the place of a task that has left. */
void hn_outcome_settle(hn_outcome *outcome, hn_view *session, const hn_request *request);

#endif
