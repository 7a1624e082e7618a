/* What ends in C, whatever interrupts it: transaction() blocks and scopes.
 *
 * A signal handler may raise between any two instructions of Python code, so also before the first
 * one of an __exit__ that is written in Python, or between two of its calls. The methods that
 * `with` and `async with` call are therefore C functions, ahead of which no handler runs.
 */
#ifndef HN_GUARD_H
#define HN_GUARD_H

#include "api/kinds.h"
#include "native.h"

/* block.c: the base classes of Transaction and AsyncTransaction. */
int hn_block_ready(PyObject *module);
/* The numbers of the session's blocks that dependencies are suspended in, the innermost first: a
 * new list. The caller leaves them, and their own code then leaves them without effect. */
PyObject *hn_block_settle(hn_session *session);
/* scope.c: the base class of Scope. */
int hn_scope_ready(PyObject *module);

/* A method's name, interned once, as the interpreter's cache of methods requires. */
typedef struct hn_name {
    const char *text;
    PyObject *interned;
} hn_name;

/* object.name(argument), or without an argument where that is NULL. */
PyObject *hn_guard_call(PyObject *object, hn_name *name, PyObject *argument);

/* How often what must happen is tried again, each time after a signal handler or a lack of
 * memory. */
#define HN_TRIES 64

/* Of two exceptions the one to be raised: a signal handler's counts more than an error of hypern's,
 * and the first one of a kind more than a later one. Steals both; either may be NULL. */
PyObject *hn_guard_first(PyObject *first, PyObject *second);

#endif
