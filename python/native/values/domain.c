/* Domains: a value is its base type's, unless the user has registered a converter for the
 * domain. */
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

const hn_converters hn_domain_converters = {
    .read = read_base,
    .read_text = read_base_text,
    .write = write_base,
    .write_text = write_base_text,
};
