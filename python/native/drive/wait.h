/* Deadlines, and waits of a blocking call. */
#ifndef HN_WAIT_H
#define HN_WAIT_H

#include "native.h"

/* A timeout= argument as a point in time, and in seconds. NULL or None: HN_NEVER, and -1. 0, or -1
 * with ValueError (negative, NaN) or TypeError. seconds may be NULL. */
int hn_deadline(PyObject *timeout, hn_time *deadline, double *seconds);

/* Sleeps until fd is ready, a tick has passed, or a signal has come; then lets signal handlers run.
 * 1 if it is ready, 0 if not, -1 if a handler raised. */
int hn_wait_fd(int fd, short events, hn_time until);

#endif
