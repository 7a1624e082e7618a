/* How the rows of execute_many are encoded: one description for each list of types that rows need
 * declared.
 *
 * What a row needs depends on that row alone: the same statement run once with these values would
 * declare it.
 */
#ifndef HN_VARIANTS_H
#define HN_VARIANTS_H

#include "buf.h"
#include "values/codec.h"

#define HN_VARIANTS_MAX 8

typedef struct hn_variant {
    hn_declared declared;
    hn_description *description; /* a reference */
    hn_buf head; /* the names a Bind for it begins with; empty until the core has given them */
} hn_variant;

typedef struct hn_variants {
    hn_variant list[HN_VARIANTS_MAX]; /* the first is without declared types */
    size_t n;
} hn_variants;

void hn_variants_clear(hn_variants *variants);

hn_variant *hn_variants_find(hn_variants *variants, const hn_declared *declared);

/* The description of these declared types, in place of what was there. Beyond the maximum the last
 * one gives way. NULL with an exception. */
hn_variant *hn_variants_put(hn_variants *variants, const hn_declared *declared,
                            hn_description *description);

/* The variant for a row, which hn_check_params has accepted. 0; HN_NEED_DECLARED, with the types
 * for which there is none in wanted; -1 with an exception. */
int hn_variants_resolve(hn_variants *variants, PyObject *row, hn_declared *wanted,
                        hn_variant **variant);

#endif
