/* Composite types as dicts by field name, and anonymous records as tuples. */
#include "values/types.h"

#include "values/literal.h"

/* One field in binary: its type's OID, its length (-1: NULL) and its bytes. */
static int next_field(const hn_type *type, hn_cursor *c, uint32_t *oid, int32_t *size)
{
    if (c->end - c->at < 8)
        return hn_unreadable(type, "a field is missing"), -1;
    *oid = hn_get_u32(c->at);
    *size = (int32_t)hn_get_u32(c->at + 4);
    c->at += 8;
    if (*size < -1 || *size > c->end - c->at)
        return hn_unreadable(type, "a field is longer than the remaining bytes"), -1;
    return 0;
}

/* ALTER TYPE came after the server had compared its attributes with those known here, while the
 * statement ran or between two chunks of a stream. The next statement looks the type up again. */
static PyObject *altered(const hn_type *type)
{
    hn_codec_forget_types(type->codec);
    return hn_unreadable(type, "the type was altered while the statement ran; it has run");
}

PyObject *hn_read_composite(const hn_type *type, const uint8_t *data, size_t len)
{
    if (len < 4 || hn_get_u32(data) != type->nfields)
        return altered(type);
    hn_cursor c = {data + 4, data + len};
    PyObject *dict = PyDict_New();
    for (uint16_t i = 0; dict != NULL && i < type->nfields; i++) {
        const hn_field *field = &type->fields[i];
        uint32_t oid;
        int32_t size;
        PyObject *value = NULL;
        if (next_field(type, &c, &oid, &size) == 0) {
            if (oid == field->oid)
                value = hn_read_value(field->type, c.at, size);
            else
                altered(type);
        }
        if (value == NULL || PyDict_SetItem(dict, field->name, value) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(value);
        if (dict != NULL && size > 0)
            c.at += size;
    }
    if (dict != NULL && c.at != c.end) {
        Py_DECREF(dict);
        return hn_unreadable(type, "trailing bytes");
    }
    return dict;
}

/* The types of a record are named only in its bytes, and cannot be looked up in the middle of a
 * row. */
static PyObject *read_field(const hn_type *record, uint32_t oid, const uint8_t *data, int32_t size)
{
    if (size < 0)
        return Py_NewRef(Py_None);
    uint32_t unknown;
    hn_codec_new_walk(record->codec);
    if (hn_type_unknown(record->codec, oid, &unknown, 0, 1) > 0)
        return hn_beyond_python(record,
                                "a field is of a type that is not built in (OID %lu); cast it, or "
                                "the record to a composite type",
                                (unsigned long)unknown);
    const hn_type *type = hn_type_linked(record->codec, oid);
    if (type == NULL)
        return NULL;
    if (!type->binary)
        return hn_beyond_python(record, "a field of type %U needs a cast to text", type->name);
    hn_type_set *types = hn_type_set_ref(record->codec); /* no description points to this type */
    PyObject *value = type->read(type, data, (size_t)size);
    hn_type_set_unref(record->codec, types);
    return value;
}

static PyObject *read_record(const hn_type *type, const uint8_t *data, size_t len)
{
    hn_cursor c = {data + 4, data + len};
    uint32_t n = len < 4 ? 0 : hn_get_u32(data);
    if (len < 4 || n > (len - 4) / 8)
        return hn_unreadable(type, "invalid number of fields");
    PyObject *tuple = PyTuple_New((Py_ssize_t)n);
    for (uint32_t i = 0; tuple != NULL && i < n; i++) {
        uint32_t oid;
        int32_t size;
        PyObject *value = NULL;
        if (next_field(type, &c, &oid, &size) == 0) {
            value = read_field(type, oid, c.at, size);
            if (size > 0)
                c.at += size;
        }
        if (value == NULL)
            Py_CLEAR(tuple);
        else
            PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, value);
    }
    if (tuple != NULL && c.at != c.end) {
        Py_DECREF(tuple);
        return hn_unreadable(type, "trailing bytes");
    }
    return tuple;
}

/* Records may hold records, and no type limits the depth. */
PyObject *hn_read_record(const hn_type *type, const uint8_t *data, size_t len)
{
    static int depth; /* guarded by the GIL; always back to 0 */
    enum { MAX_DEPTH = 200 };
    if (depth >= MAX_DEPTH)
        return hn_beyond_python(type, "nested more than %d deep", MAX_DEPTH);
    depth++;
    PyObject *tuple = read_record(type, data, len);
    depth--;
    return tuple;
}

PyObject *hn_read_composite_text(const hn_type *type, const uint8_t *data, size_t len)
{
    hn_cursor c = {data, data + len};
    PyObject *dict = hn_skip(&c, '(') ? PyDict_New() : hn_unreadable(type, "not a row");
    for (uint16_t i = 0; dict != NULL && i < type->nfields; i++) {
        const hn_field *field = &type->fields[i];
        hn_token token = {0};
        PyObject *value = NULL;
        if ((i == 0 || hn_skip(&c, ',')) && hn_read_token(type, &c, ",)", &token) == 0)
            value = !token.quoted && token.len == 0
                        ? Py_NewRef(Py_None)
                        : field->type->read_text(field->type, token.data, token.len);
        hn_token_free(&token);
        if (value == NULL && !PyErr_Occurred())
            altered(type);
        if (value == NULL || PyDict_SetItem(dict, field->name, value) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(value);
    }
    if (dict != NULL && (!hn_skip(&c, ')') || c.at != c.end)) {
        Py_DECREF(dict);
        return altered(type);
    }
    return dict;
}

/* The fields of the value in the order of the type, as a new tuple. Returns what a writer does. */
static int as_fields(const hn_type *type, PyObject *value, PyObject **fields)
{
    *fields = NULL;
    if (PyUnicode_Check(value))
        return HN_AS_TEXT;
    if (PyTuple_Check(value)) {
        if (PyTuple_GET_SIZE(value) != type->nfields)
            return hn_unfit(type, value, "the number of fields differs");
        *fields = Py_NewRef(value);
        return HN_WRITTEN;
    }
    if (!PyDict_Check(value))
        return HN_NO_FIT;
    if (PyDict_Size(value) != type->nfields)
        return hn_unfit(type, value, "its keys are not the names of the fields");
    *fields = PyTuple_New(type->nfields);
    for (uint16_t i = 0; *fields != NULL && i < type->nfields; i++) {
        PyObject *item = PyDict_GetItemWithError(value, type->fields[i].name);
        if (item != NULL) {
            PyTuple_SET_ITEM(*fields, i, Py_NewRef(item));
            continue;
        }
        Py_CLEAR(*fields);
        if (!PyErr_Occurred())
            return hn_unfit(type, value, "its keys are not the names of the fields");
    }
    return *fields == NULL ? -1 : HN_WRITTEN;
}

int hn_write_composite(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    PyObject *fields;
    int rc = as_fields(type, value, &fields);
    if (rc != HN_WRITTEN)
        return rc;
    rc = type->sends_binary ? hn_buf_u32(out, type->nfields) : HN_AS_TEXT;
    for (uint16_t i = 0; rc == HN_WRITTEN && i < type->nfields; i++) {
        rc = hn_buf_u32(out, type->fields[i].oid);
        PyObject *item = PyTuple_GET_ITEM(fields, i);
        if (rc == HN_WRITTEN)
            rc = hn_write_value(encoder, type->fields[i].type, item, out);
    }
    Py_DECREF(fields);
    return rc;
}

int hn_write_composite_text(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    PyObject *fields;
    int rc = as_fields(type, value, &fields);
    if (rc != HN_WRITTEN)
        return rc;
    for (uint16_t i = 0; rc == HN_WRITTEN && i < type->nfields; i++) {
        PyObject *item = PyTuple_GET_ITEM(fields, i);
        rc = hn_buf_u8(out, i == 0 ? '(' : ',');
        if (rc != HN_WRITTEN || item == Py_None)
            continue;
        size_t start = out->len;
        rc = hn_write_text(encoder, type->fields[i].type, item, out);
        if (rc == HN_WRITTEN)
            rc = hn_quote(out, start);
    }
    Py_DECREF(fields);
    if (rc == HN_WRITTEN && type->nfields == 0)
        rc = hn_buf_u8(out, '(');
    return rc == HN_WRITTEN ? hn_buf_u8(out, ')') : rc;
}
