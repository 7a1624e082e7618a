/* What the sessions of one configured alias share: its settings until the core needs them, and what
 * C keeps for it. The first part of a Pool, without the Python type. GIL held in all functions.
 */
#ifndef HN_DATABASE_H
#define HN_DATABASE_H

#include "native.h"
#include "session/catalogs.h"
#include "session/descriptions.h"

typedef struct hn_database {
    PyObject_HEAD
    PyObject *alias;              /* str */
    PyObject *settings;           /* bytes: JSON for the core. Holds the password: never shown. */
    PyObject *attend;             /* callable: the core has just got the settings; or NULL */
    PyObject *observer;           /* callable, or NULL */
    hn_catalogs catalogs;         /* types, of `generation` only, and hooks */
    hn_descriptions descriptions; /* of `generation` only */
    bool configured;              /* the core of `generation` has the settings */
    uint32_t generation;
    bool logged_shared;     /* the log has the line about a pooler */
    bool logged_incomplete; /* the log has the line about the reset */
} hn_database;

/* Whether the core that is loaded has the settings. */
bool hn_database_is_configured(const hn_database *database);

/* Has the core loaded, and gives it the settings. 0, or -1 with an exception. May run Python code.
 */
int hn_database_configure(hn_database *database);

/* Opens a new session in the core, which is loaded and configured if need be. options: those of its
 * scope (bytes), or NULL. reads: it only reads, on a replica that has replayed `wanted` (str, or
 * NULL). Its handle, or -1 with an exception. Runs no other Python code. */
int64_t hn_database_open(hn_database *database, PyObject *request_id, PyObject *options, bool reads,
                         PyObject *wanted);

/* The status of the pool as JSON in bytes, or None where the core has no such pool. A new
 * reference. */
PyObject *hn_database_status(hn_database *database);

/* Has the connections replaced. 0, or -1 with an exception. */
int hn_database_drain(hn_database *database);

/* Closes the connections (HN_POOL_CLOSE, HN_POOL_DISCONNECT). The next use hands the settings over
 * again. A descriptor that is readable when all have gone, to be closed by the caller; -1 with an
 * exception. */
int hn_database_close(hn_database *database, hn_pool_op how);

/* Registers the user's converters for a type. 0, or -1 with an exception. */
int hn_database_register(hn_database *database, const char *type_name, PyObject *loads,
                         PyObject *dumps);

#endif
