/* How the rows of execute_many are encoded: one description for each list of types that rows need
 * declared. */
#include "engine/variants.h"

#include "error.h"

static void drop(hn_variant *v)
{
    hn_description_unref(v->description);
    hn_declared_free(&v->declared);
    hn_buf_free(&v->head);
    *v = (hn_variant){0};
}

void hn_variants_clear(hn_variants *variants)
{
    while (variants->n > 0)
        drop(&variants->list[--variants->n]);
}

hn_variant *hn_variants_find(hn_variants *variants, const hn_declared *declared)
{
    for (size_t i = 0; i < variants->n; i++)
        if (hn_declared_equal(&variants->list[i].declared, declared))
            return &variants->list[i];
    return NULL;
}

hn_variant *hn_variants_put(hn_variants *variants, const hn_declared *declared,
                            hn_description *description)
{
    hn_variant *v = hn_variants_find(variants, declared);
    if (v == NULL) {
        hn_declared copy = {0};
        if (hn_declared_copy(&copy, declared) < 0)
            return NULL;
        if (variants->n == HN_VARIANTS_MAX)
            drop(&variants->list[--variants->n]);
        v = &variants->list[variants->n++];
        v->declared = copy;
    }
    hn_description_ref(description);
    if (v->description != NULL)
        hn_description_unref(v->description);
    v->description = description;
    v->head.len = 0;
    return v;
}

int hn_variants_resolve(hn_variants *variants, PyObject *row, hn_declared *wanted,
                        hn_variant **variant)
{
    hn_variant *v = &variants->list[0];
    /* Each turn declares at least one more parameter, unless the server describes the statement
     * differently. */
    for (unsigned left = hn_description_nparams(v->description) + 1u; left > 0; left--) {
        int rc = hn_declared_types(v->description, row, wanted);
        if (rc < 0)
            return -1;
        if (rc == 0) {
            *variant = v;
            return 0;
        }
        v = hn_variants_find(variants, wanted);
        if (v == NULL)
            return HN_NEED_DECLARED;
    }
    return hn_raise("OperationalError", "the server describes the statement's parameters "
                                        "differently each time");
}
