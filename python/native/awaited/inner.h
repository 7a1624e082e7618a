/* The coroutine of ours (hypern._awaiting) that runs in the task which awaits an operation: it
 * collects the rows of an async iterable, or calls on_commit functions. GIL held. */
#ifndef HN_INNER_H
#define HN_INNER_H

#include "awaited/operation.h"

/* hypern._awaiting, borrowed. */
PyObject *hn_inner_helpers(void);

/* Run it on, as PyIter_Send does. What Python code in it does with the session cannot wait. */
PySendResult hn_inner_send(hn_operation *operation, PyObject *value, PyObject **result);
/* What it makes of the exception in args, that is what the task is to wait for; NULL: it has ended. */
PyObject *hn_inner_throw(hn_operation *operation, PyObject *args);

/* Go on with collecting rows, and give the operation what was collected. Whether the task has to
 * wait for that. */
bool hn_inner_feed(hn_operation *operation, PyObject *value, PyObject **result);
/* The operation's time runs out while the task waits for a row: wake it. */
void hn_inner_interrupt(hn_operation *operation);
/* The operation's time ran out meanwhile: whoever makes the rows is told. Whether the task has to
 * wait for that. */
bool hn_inner_stop_feeding(hn_operation *operation, PyObject *value, PyObject **result);

#endif
