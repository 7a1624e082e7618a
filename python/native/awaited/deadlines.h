/* The time limits of an awaited operation. GIL held. */
#ifndef HN_DEADLINES_H
#define HN_DEADLINES_H

#include "awaited/operation.h"

/* The time for waiting in the session's queue has passed. */
void hn_operation_expire(hn_operation *operation);
/* A running one may be late: looks at the engine's limits and the caller's. */
void hn_operation_check_limits(hn_operation *operation);

#endif
