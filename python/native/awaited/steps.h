/* Goes on with an awaited operation whose engine can. GIL held. */
#ifndef HN_STEPS_H
#define HN_STEPS_H

#include "awaited/operation.h"

/* Advances the engine once: whether the engine is over. */
bool hn_operation_advance(hn_operation *operation, hn_wake wake, int block_ms);
/* Advances it, and sees to what comes next: its end, or what its loop waits for. */
void hn_operation_go_on(hn_operation *operation, hn_wake wake);
/* Has the loop come back to it. */
void hn_operation_wait(hn_operation *operation);
/* Has LATE called at the next time that matters. 0, or -1 with an exception. */
int hn_operation_set_due(hn_operation *operation);

/* Whether it needs rows from its task. */
bool hn_operation_needs_rows(const hn_operation *operation);
/* In its task: the next rows, and whether there may be more; or with NULL the exception that is set
 * in place of them. */
void hn_operation_feed(hn_operation *operation, PyObject *rows, bool more);

#endif
