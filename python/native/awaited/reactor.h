/* Goes on with the operations of one event loop when what they wait for is there.
 *
 * The loop watches one descriptor, registered once, instead of every socket at every statement:
 * with uvloop that costs several system calls, and it aborts the process over a socket that was
 * closed while watched. watch.h has the sockets.
 *
 * The loop owns its reactor, through the callback it has been given. The reactor owns the
 * operations that are under way, and through them the tasks that wait for them: the loop itself has
 * only weak references to its tasks. A reactor goes when its loop is closed, and loses the
 * operations that are left. GIL held in all functions.
 */
#ifndef HN_REACTOR_H
#define HN_REACTOR_H

#include "awaited/entries.h"
#include "awaited/future.h"

/* Once, when the module is made. 0 or -1. */
int hn_reactor_ready(void);

/* The reactor of the loop that runs in this thread, borrowed; NULL with an exception. */
hn_reactor *hn_reactor_here(void);

PyObject *hn_reactor_loop(const hn_reactor *reactor); /* borrowed */
/* The loop's thread, as last seen. */
unsigned long hn_reactor_thread(const hn_reactor *reactor);

/* Adds an entry, and removes it. */
void hn_reactor_add(hn_reactor *reactor, hn_entry *entry);
void hn_reactor_remove(hn_entry *entry);

/* Has ready() called when a descriptor is ready, or soon; it may come for nothing. 0, or -1 with an
 * exception. socket: as hn_call has it, for one that may stay watched; or 0. soon may be called in
 * any thread. */
int hn_reactor_arm(hn_entry *entry, int fd, short events, uint64_t socket);
int hn_reactor_soon(hn_entry *entry);
void hn_reactor_disarm(hn_entry *entry);

/* Has late() called at entry->due or soon after. 0, or -1 with an exception. */
int hn_reactor_set_due(hn_entry *entry);

/* Wakes the task that waits for a future of this loop. */
void hn_reactor_notify(hn_reactor *reactor, hn_future *future);

#endif
