/* What a type is made of: links to the types of its parts, and the parts that are still unknown. */
#include "values/types.h"

/* Registered by init.c: this file does not depend on those that convert. */
static const hn_converters *domain_converters;

void hn_links_init(const hn_converters *of_domains)
{
    domain_converters = of_domains;
}

static int is_registered(const hn_type *type)
{
    return type->loads != NULL || type->dumps != NULL;
}

/* A registered domain whose base is linked: where no converter is registered, it uses the base's.
 */
static void link_domain(hn_type *type)
{
    if (type->loads == NULL) {
        type->binary = type->related->binary;
        type->read = domain_converters->read;
        type->read_text = domain_converters->read_text;
    }
    if (type->dumps == NULL) {
        type->sends_binary = type->related->sends_binary;
        type->write = domain_converters->write;
        type->write_text = domain_converters->write_text;
    }
}

static void take_part(hn_type *type, const hn_type *part)
{
    type->binary = type->binary && part->binary;
    type->sends_binary = type->sends_binary && part->sends_binary;
    if (part->loads == NULL) /* the user's converter gets what the server prints */
        type->settings |= part->settings;
    type->holds_rows |= part->holds_rows;
}

/* Points to the types that this one is made of. It has a binary format only if all of them do. A
 * type that contains itself, which no honest server describes, counts as the server's text. */
static int link_type(hn_type *type)
{
    if (type->linked)
        return 0;
    if (type->linking) {
        hn_type_set_family(type, HN_FAMILY_SERVER_TEXT);
        return 0;
    }
    type->linking = 1;
    type->holds_rows = type->family == HN_FAMILY_COMPOSITE;
    if (type->related_oid != 0) {
        type->related = hn_type_linked(type->codec, type->related_oid);
        if (type->related == NULL)
            goto failed;
        take_part(type, type->related);
    }
    for (uint16_t i = 0; i < type->nfields; i++) {
        type->fields[i].type = hn_type_linked(type->codec, type->fields[i].oid);
        if (type->fields[i].type == NULL)
            goto failed;
        take_part(type, type->fields[i].type);
    }
    if (type->family == HN_FAMILY_DOMAIN && type->related != NULL && is_registered(type))
        link_domain(type);
    if (!type->binary)
        type->read = type->read_text;
    type->linking = 0;
    type->linked = 1;
    return 0;
failed:
    type->linking = 0;
    return -1;
}

const hn_type *hn_type_linked(hn_codec *codec, uint32_t oid)
{
    hn_type *type = hn_type_known(codec, oid);
    if (type == NULL) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_SystemError, "type %lu is used before it is known",
                         (unsigned long)oid);
        return NULL;
    }
    if (link_type(type) < 0)
        return NULL;
    if (type->family == HN_FAMILY_DOMAIN && type->related != NULL && !is_registered(type))
        return type->related;
    return type;
}

void hn_codec_new_walk(hn_codec *codec)
{
    codec->walk++;
}

size_t hn_type_unknown(hn_codec *codec, uint32_t oid, uint32_t *oids, size_t n, size_t max)
{
    hn_type *type = hn_type_known(codec, oid);
    if (type == NULL) {
        PyErr_Clear(); /* a lack of memory shows again when the type is added */
        for (size_t i = 0; i < n; i++)
            if (oids[i] == oid)
                return n;
        if (n < max)
            oids[n++] = oid;
        return n;
    }
    if (type->linked || type->walk == codec->walk)
        return n;
    type->walk = codec->walk;
    if (type->related_oid != 0)
        n = hn_type_unknown(codec, type->related_oid, oids, n, max);
    for (uint16_t i = 0; i < type->nfields; i++)
        n = hn_type_unknown(codec, type->fields[i].oid, oids, n, max);
    return n;
}
