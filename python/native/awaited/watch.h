/* The descriptors that the operations of one event loop wait for: an epoll, which the loop watches
 * in place of each socket at each statement. From the epoll a closed socket just disappears.
 *
 * A socket stays watched after its statement, since the next one is likely to be of this loop
 * again, until it becomes readable while no operation waits for it: 1.03 to 1.07 in the client's
 * processor time for a statement. Everything else is armed for one event. GIL held.
 */
#ifndef HN_WATCH_H
#define HN_WATCH_H

#include "awaited/entries.h"

#define HN_EVENTS_MAX 32

typedef struct hn_watched {
    hn_entry *entry; /* that waits for it; or NULL */
    uint64_t socket; /* which one is watched for input for good; 0 if none is */
} hn_watched;

typedef struct hn_watch {
    int epoll;
    hn_watched *by_fd;
    size_t fds;
    size_t armed;     /* how many descriptors have an entry */
    hn_entry *latest; /* the last one armed, while it is; or NULL */
} hn_watch;

/* Opens the epoll, in which one descriptor is always watched for input. 0, or -1 with an
 * exception. */
int hn_watch_open(hn_watch *watch, int always);

/* Has an entry wait for a descriptor. socket: as hn_call has it, for one that may stay watched; or
 * 0. 0, or -1 with an exception. */
int hn_watch_arm(hn_watch *watch, hn_entry *entry, int fd, short events, uint64_t socket);
/* The entry does not wait any more. The epoll is left as it is: see hn_watch_take. */
void hn_watch_disarm(hn_watch *watch, hn_entry *entry);

/* The descriptors that are ready now: how many, or -1 with an exception. */
int hn_watch_collect(const hn_watch *watch, int fds[HN_EVENTS_MAX]);
/* The entry that waits for a descriptor that is ready, disarmed. NULL if none does: it is a socket
 * whose connection another loop or a thread uses now, or that the server has closed. That is
 * watched no more. */
hn_entry *hn_watch_take(hn_watch *watch, int fd);

/* Where the epoll is readable and one entry is armed, it is likely to be that one's descriptor.
 * Looking would be a system call for nothing: a lone task's statements took 1.05 of the processor
 * time with it. NULL if several are armed. */
hn_entry *hn_watch_only_one(const hn_watch *watch);

#endif
