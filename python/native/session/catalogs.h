/* What a Pool has learned of types, by the number that the core gives each state of a server's
 * catalog. Guarded by the GIL. */
#ifndef HN_CATALOGS_H
#define HN_CATALOGS_H

#include "native.h"
#include "values/codec.h"

/* Two servers during a failover, and what transactions see that have altered types. */
#define HN_CATALOGS_MAX 8

typedef struct hn_catalogs {
    hn_codec *hooks; /* a reference: the user's converters, and no types */
    struct {
        uint64_t number;
        hn_codec *codec;       /* a reference, or NULL */
    } recent[HN_CATALOGS_MAX]; /* latest use first */
} hn_catalogs;

/* Steals the reference. */
void hn_catalogs_init(hn_catalogs *catalogs, hn_codec *hooks);
/* The types go, the hooks stay. */
void hn_catalogs_clear(hn_catalogs *catalogs);
void hn_catalogs_free(hn_catalogs *catalogs);
/* For the garbage collector, on behalf of the Pool. */
int hn_catalogs_traverse(const hn_catalogs *catalogs, visitproc visit, void *arg);
void hn_catalogs_drop_hooks(hn_catalogs *catalogs);

/* The codec of this number, new if it is not known; borrowed until the next call. NULL with an
 * exception. */
hn_codec *hn_catalogs_get(hn_catalogs *catalogs, uint64_t number);

/* Register the user's converters for the type of this name: what is known of types is forgotten. */
int hn_catalogs_register(hn_catalogs *catalogs, const char *type_name, PyObject *loads,
                         PyObject *dumps);

#endif
