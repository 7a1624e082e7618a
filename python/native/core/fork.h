/* What a forked child does: it closes the descriptors it has inherited, and lets each room forget
 * what belongs to the parent.
 *
 * The table of descriptors is written by Go before connect returns.
 */
#ifndef HN_FORK_H
#define HN_FORK_H

#include "native.h"

#define HN_FD_SLOTS (1u << 20) /* the kernel's own limit, unless fs.nr_open is raised */

/* The table, made by the first call together with the fork handler. NULL if there is no memory. */
hn_fd *hn_fork_table(void);
/* Behind the table: how many of its places have ever been used. */
uint64_t *hn_fork_used(void);

/* Behind that: how many descriptors are being opened, and whether a fork waits for them;
 * hn_boot's. */
uint64_t *hn_fork_gate(void);

/* Registers a function to call in every forked child, in order of registration. It must be
 * async-signal-safe. Registering it again has no effect. */
void hn_at_fork(void (*function)(void));

#endif
