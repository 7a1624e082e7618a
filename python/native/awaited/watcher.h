/* What the operations of one event loop wait for: an epoll of ours that the loop watches.
 *
 * The loop is told of one descriptor, once, instead of every socket at every statement: with uvloop
 * that costs several system calls, and it aborts the process over a socket that was closed while
 * watched. To the epoll a closed socket is just gone. A socket stays watched after its statement,
 * since the next one is likely to be of this loop again, until it has woken the loop for nothing;
 * all else is armed for one event.
 *
 * The loop owns its watcher, through the callback it has been given, and the watcher the operations that
 * are under way, and with them the tasks which wait for them: the loop itself knows a task by weak
 * reference only. A watcher goes when its loop is closed, and gives up the operations that are left. GIL
 * held in all functions.
 */
#ifndef HN_WATCHER_H
#define HN_WATCHER_H

#include "awaited/alarm.h"
#include "awaited/future.h"
#include "native.h"

typedef struct hn_operation hn_operation; /* operation.h */

/* A descriptor, by its number. */
typedef struct hn_watched {
    hn_operation *operation; /* that waits for it; or NULL */
    uint64_t socket;         /* which one is watched for input for good; 0: none is */
} hn_watched;

typedef struct hn_watcher {
    PyObject_HEAD
    PyObject *loop; /* a reference */
    int epoll;
    int bell; /* an eventfd in it, which has the loop call where it cannot be asked to: memory is short */
    unsigned long thread;        /* the loop's, as last seen */
    uint32_t generation;         /* of the core: an epoll inherited through a fork is the parent's */
    bool scheduled;              /* the loop will call soon */
    hn_time spent;               /* when a whole budget was last used up */
    hn_watched *by_fd;
    size_t fds;
    bool is_called;              /* its callback is under way, tasks not yet being told */
    hn_futures woken;            /* whose tasks are to be told at the end of it */
    hn_alarm alarm;
    hn_operation *first, *last;  /* to be gone on with, linked by `next_ready` */
    hn_operation *operations;    /* all that are not over, references; linked by `peer` */
    struct hn_watcher *next;     /* in the list of all */
} hn_watcher;

int hn_watcher_ready(void);

/* The watcher of the loop that runs in this thread, borrowed; NULL with an exception. */
hn_watcher *hn_watcher_here(void);

/* Take up an operation, and leave it. */
void hn_watcher_add(hn_watcher *watcher, hn_operation *operation);
void hn_watcher_remove(hn_watcher *watcher, hn_operation *operation);

/* Have hn_operation_go() called: when a descriptor is ready, or soon; perhaps for nothing. 0, or -1
 * with an exception. socket: as hn_call has it, for one that may stay watched; or 0. soon may be
 * called in any thread. */
int hn_watcher_arm(hn_watcher *watcher, hn_operation *operation, int fd, short events,
                   uint64_t socket);
int hn_watcher_soon(hn_watcher *watcher, hn_operation *operation);
/* Have the watcher's callback called soon, in any case. 0, or -1 with an exception. */
int hn_watcher_again(hn_watcher *watcher);
/* No longer. */
void hn_watcher_disarm(hn_watcher *watcher, hn_operation *operation);

/* In a forked child: the parent's are not the child's. Async-signal-safe. */
void hn_watcher_forget(void);

#endif
