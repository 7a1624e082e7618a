/* The plans that a Pool has made, by SQL text: what a statement is encoded for at a guess.
 *
 * A plan's id belongs to one generation of the core, and is compared there with what the connection
 * at hand knows; a wrong guess costs one more crossing, never a wrong encoding. Guarded by the GIL.
 */
#ifndef HN_PLANS_H
#define HN_PLANS_H

#include "native.h"
#include "values/codec.h"

typedef struct hn_plans {
    PyObject *by_sql; /* dict: str -> capsule of an entry; oldest first */
    size_t bytes;     /* taken by the entries, nearly */
} hn_plans;

int hn_plans_init(hn_plans *plans);
void hn_plans_clear(hn_plans *plans); /* all entries go; ready to be used again */
void hn_plans_free(hn_plans *plans);

/* The plan for sql and declared types, borrowed until the next call that runs Python, and its id. NULL: none, or an
 * exception is set (ask PyErr_Occurred). */
hn_plan *hn_plans_find(const hn_plans *plans, PyObject *sql, const hn_declared *declared,
                       uint64_t *id);

/* Remember plan for sql. 0 or -1. */
int hn_plans_keep(hn_plans *plans, PyObject *sql, uint64_t id, hn_plan *plan);

#endif
