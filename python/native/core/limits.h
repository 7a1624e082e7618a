/* Whether this process has room for a Go runtime, which aborts the process where it has none. */
#ifndef HN_LIMITS_H
#define HN_LIMITS_H

#include <stddef.h>

/* Takes what the runtime needs to start, for a moment: address space, threads, descriptors. 0, or
 * -1 with a sentence in why. Called before loading, with all signals blocked: threads are made. */
int hn_limits_try(char *why, size_t size);

#endif
