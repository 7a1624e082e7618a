/* One configured alias: its settings until the core needs them, and what C keeps for it. */
#ifndef HN_POOL_H
#define HN_POOL_H

#include "native.h"
#include "session/catalogs.h"
#include "session/plans.h"

struct hn_pool {
    PyObject_HEAD
    PyObject *alias;        /* str */
    PyObject *settings;     /* bytes: JSON for the core. Holds the password: never shown. */
    PyObject *session_type; /* a subclass of Session */
    PyObject *password;     /* callable, or NULL */
    PyObject *observer;     /* callable, or NULL */
    hn_catalogs catalogs;   /* types, of `generation` only, and hooks */
    hn_plans plans;         /* of `generation` only */
    bool configured;        /* the core of `generation` has the settings */
    uint32_t generation;
    bool told_shared;       /* the log has the line about a pooler */
    bool told_incomplete;   /* the log has the line about the reset */
};

extern PyTypeObject *hn_pool_type;
int hn_pool_ready(PyObject *module);

/* A new session of the core's; its handle, or -1 with an exception. Runs no Python code but for that. */
int64_t hn_pool_open(hn_pool *pool, PyObject *request_id);

/* Its status as JSON, bytes; None where the core does not know it. A new reference. */
PyObject *hn_pool_status(hn_pool *pool);

#endif
