/* A scope's life: which one is current, which are open, and when they begin and end. */
#ifndef HN_SCOPE_LIFE_H
#define HN_SCOPE_LIFE_H

#include "native.h"

/* All references but the weak one are set by __init__. The flags are bools, so that an attribute's
 * look-up in Python is that of a slot. */
typedef struct hn_scope {
    PyObject_HEAD
    PyObject *request_id; /* exact str */
    PyObject *outer;      /* the scope that was current when this one was entered, or None */
    PyObject *kept;       /* its options, or what they come to; None without options */
    PyObject *written;    /* tuple of the closed sessions that have committed something */
    PyObject *is_entered, *ended; /* bool */
    PyObject *listed;             /* weak reference to itself by which it is listed; or NULL */
    unsigned long thread;         /* that opened it */
    char is_open;                 /* its sessions have not been ended yet; set from Python */
} hn_scope;

/* Makes the ContextVar of the current scope, and adds to the module what Python needs of this file.
 * type: ScopeBase. 0, or -1 with an exception. */
int hn_scope_life_ready(PyObject *module, PyTypeObject *type);

/* __init__(request_id=None, options=None). */
int hn_scope_init(PyObject *scope, PyObject *args, PyObject *kwargs);

/* The methods _enter, _leave, open and close; new references, or NULL with an exception. */
PyObject *hn_scope_enter(PyObject *scope, PyObject *unused);
PyObject *hn_scope_leave(PyObject *scope, PyObject *unused);
PyObject *hn_scope_open(PyObject *scope, PyObject *unused);
PyObject *hn_scope_close(PyObject *scope, PyObject *unused);

/* Whether a scope may have used sessions that are not its own, which its end is to be told of. */
bool hn_scope_may_have_borrowed(void);

#endif
