/* Domains: a value is its base type's, unless the user has registered a converter for the domain. */
#include "values/types.h"

static PyObject *read_base(const hn_type *type, const uint8_t *data, size_t len)
{
    return type->related->read(type->related, data, len);
}

static PyObject *read_base_text(const hn_type *type, const uint8_t *data, size_t len)
{
    return type->related->read_text(type->related, data, len);
}

static int write_base(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    return type->related->write(encoder, type->related, value, out);
}

static int write_base_text(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    return hn_write_text(encoder, type->related, value, out);
}

int hn_type_is_registered(const hn_type *type)
{
    return type->loads != NULL || type->dumps != NULL;
}

void hn_domain_link(hn_type *type)
{
    if (type->loads == NULL) {
        type->binary = type->related->binary;
        type->read = read_base;
        type->read_text = read_base_text;
    }
    if (type->dumps == NULL) {
        type->sends_binary = type->related->sends_binary;
        type->write = write_base;
        type->write_text = write_base_text;
    }
}
