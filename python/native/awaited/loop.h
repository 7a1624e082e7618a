/* The calls of an event loop like asyncio's: all its names are spelled here. GIL held. */
#ifndef HN_LOOP_H
#define HN_LOOP_H

#include "native.h"

int hn_loop_ready(void);

/* The loop that runs in this thread: a new reference, or NULL with an exception. */
PyObject *hn_loop_running(void);
/* Whether there is one: 1 or 0; -1 with an exception. */
int hn_loop_runs_here(void);
/* The task that is being run in this thread: a new reference, None between two of them; NULL,
 * without an exception, if no loop runs here. */
PyObject *hn_loop_task(void);

/* Have callable called whenever fd is readable. 0, or -1 with an exception: InterfaceError where
 * the loop cannot do that. */
int hn_loop_watch(PyObject *loop, int fd, PyObject *callable);
/* Have callable(None) called soon. here: this is the loop's own thread. 0, or -1. */
int hn_loop_soon(PyObject *loop, PyObject *callable, bool here);

/* Have callable(argument) called soon, in a context; in the loop's own thread. 0, or -1. */
int hn_loop_soon_in(PyObject *loop, PyObject *callable, PyObject *argument, PyObject *context);

/* Raise asyncio.CancelledError; message: or NULL. */
void hn_loop_raise_cancelled(PyObject *message);

/* Whether the loop must step its tasks itself: in debug mode, where it names each slow one, and
 * where nest_asyncio runs it within a step, which it cannot do during the reactor's callback. -1
 * with an exception that a signal handler has raised meanwhile. */
int hn_loop_steps_itself(PyObject *loop);

/* Whether it runs in some thread. */
bool hn_loop_is_running(PyObject *loop);

#endif
