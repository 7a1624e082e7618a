/* What happens to an awaited operation, and what it does about it: transitions.h decides. GIL
 * held. */
#ifndef HN_EVENTS_H
#define HN_EVENTS_H

#include "awaited/operation.h"

/* Sets up a new operation, whose memory is zero: references of its own, and the parts that others
 * see. The caller sets the functions of its turn: cooperative.h has them. */
void hn_operation_init(hn_operation *operation, hn_view *session, const hn_request *request,
                       hn_time deadline, PyObject *returns);

/* In the task that awaits it: takes a turn. 0, or -1 with an exception and phase DONE. */
int hn_operation_start(hn_operation *operation);

/* Something has happened to it. */
void hn_operation_on(hn_operation *operation, hn_event event);

/* A thread that has driven it gives it back to its loop. */
void hn_operation_hand_back(hn_operation *operation);

#endif
