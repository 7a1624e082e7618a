/* The statement descriptions that a Pool has, by SQL text: what a statement is encoded for at a
 * guess.
 *
 * A description's id belongs to one generation of the core, and is compared there with what the
 * connection at hand has prepared; a wrong guess costs one more crossing, never a wrong encoding.
 * Guarded by the GIL.
 */
#ifndef HN_DESCRIPTIONS_H
#define HN_DESCRIPTIONS_H

#include "native.h"
#include "values/codec.h"

typedef struct hn_descriptions {
    PyObject *by_sql; /* dict: str -> capsule of an entry; oldest first */
    size_t bytes;     /* taken by the entries, nearly */
} hn_descriptions;

int hn_descriptions_init(hn_descriptions *descriptions);
void hn_descriptions_clear(hn_descriptions *descriptions); /* drops all entries */
void hn_descriptions_free(hn_descriptions *descriptions);

/* The description for sql and declared types, borrowed until the next call that runs Python, and
 * its id. NULL if there is none, or with an exception. */
hn_description *hn_descriptions_find(const hn_descriptions *descriptions, PyObject *sql,
                                     const hn_declared *declared, uint64_t *id);

/* Remember description for sql. 0 or -1. */
int hn_descriptions_keep(hn_descriptions *descriptions, PyObject *sql, uint64_t id,
                         hn_description *description);

#endif
