/* What the operations of one event loop wait for: an epoll of ours that the loop watches.
 *
 * The loop is told of one descriptor, once, instead of every socket at every statement: with uvloop
 * that costs several system calls, and it aborts the process over a socket that was closed while
 * watched. To the epoll a closed socket is just gone. Each wait is armed for one event, so that a
 * socket which its session keeps between two statements, or which another session has got, wakes
 * nobody.
 *
 * The loop owns its watcher, through the callback it has been given: a watcher goes when its loop
 * is closed, and gives up the operations that are left. GIL held in all functions.
 */
#ifndef HN_WATCHER_H
#define HN_WATCHER_H

#include "awaited/alarm.h"
#include "native.h"

typedef struct hn_operation hn_operation; /* operation.h */

typedef struct hn_watcher {
    PyObject_HEAD
    PyObject *loop; /* a reference */
    int epoll;
    unsigned long thread;        /* the loop's, as last seen */
    uint32_t generation;         /* of the core: an epoll inherited through a fork is the parent's */
    bool scheduled;              /* the loop will call soon */
    uint64_t home;               /* its number, for the core */
    hn_operation **by_fd;        /* what waits for a descriptor, by its number */
    size_t fds;
    hn_alarm alarm;
    hn_operation *first, *last;  /* to be gone on with, linked by `next_ready` */
    hn_operation *operations;    /* all that are not over, borrowed; linked by `peer` */
    struct hn_watcher *next;     /* in the list of all */
} hn_watcher;

int hn_watcher_ready(void);

/* The watcher of a running loop, borrowed; NULL with an exception. */
hn_watcher *hn_watcher_of(PyObject *loop);

/* Take up an operation, and leave it. */
void hn_watcher_add(hn_watcher *watcher, hn_operation *operation);
void hn_watcher_remove(hn_watcher *watcher, hn_operation *operation);

/* Have hn_operation_go() called: when a descriptor is ready, or soon. 0, or -1 with an exception.
 * soon may be called in any thread. */
int hn_watcher_arm(hn_watcher *watcher, hn_operation *operation, int fd, short events);
int hn_watcher_soon(hn_watcher *watcher, hn_operation *operation);
/* No longer. */
void hn_watcher_disarm(hn_watcher *watcher, hn_operation *operation);

/* The core says that the wait for this descriptor is over (hn_call.woke): go on at once with the
 * operation whose it was. */
void hn_watcher_told(hn_watcher *watcher, int fd);

/* In a forked child: the parent's are not the child's. Async-signal-safe. */
void hn_watcher_forget(void);

#endif
