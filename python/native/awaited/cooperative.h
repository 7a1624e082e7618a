/* A blocking call that drives an awaited operation: it waits for the session's lock in the thread
 * whose event loop would have to drive the operation that holds it. */
#ifndef HN_COOPERATIVE_H
#define HN_COOPERATIVE_H

#include "session/lock.h"

/* What the lock calls on an awaited operation. */
extern const hn_holder_functions hn_cooperative_functions;

#endif
