/* The beginning and the end of an awaited operation. GIL held. */
#ifndef HN_LIFE_H
#define HN_LIFE_H

#include "awaited/operation.h"

/* HN_MUST_HAPPEN, HN_CANCELLABLE. */
unsigned hn_operation_kind(const hn_operation *operation);
/* A block that was to be committed, and that its task has left before the COMMIT began, is rolled
 * back. */
void hn_operation_undo_instead(hn_operation *operation);
/* The task that was to enter a transaction() block has left. */
void hn_operation_was_not_entered(const hn_operation *operation);

/* Makes the engine: whether there is one, or else the operation is over. */
bool hn_operation_begin(hn_operation *operation);

/* The end: takes over the engine's outcome. */
void hn_operation_conclude(hn_operation *operation);
/* It cannot go on: the exception that is set is the outcome. */
void hn_operation_abandon(hn_operation *operation);
/* It leaves the session's queue: the exception that is set is the outcome. */
void hn_operation_leave_queue(hn_operation *operation);

/* Wakes the task. Its future may be cancelled already: then it is about to leave. */
void hn_operation_wake_task(hn_operation *operation);

#endif
