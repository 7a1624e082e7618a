/* Ranges and multiranges in text: empty, [1,2), (,"2026-01-01 00:00:00"], {[1,2),[5,6)}. */
#include "values/range.h"

#include "values/literal.h"

/* A bound, or None if it is empty. */
static PyObject *read_bound(const hn_type *type, hn_cursor *c)
{
    hn_token token;
    if (hn_read_token(type, c, ",)]", &token) < 0)
        return NULL;
    PyObject *bound = !token.quoted && token.len == 0
                          ? Py_NewRef(Py_None)
                          : type->related->read_text(type->related, token.data, token.len);
    hn_token_free(&token);
    return bound;
}

static PyObject *read_range(const hn_type *type, hn_cursor *c)
{
    if (c->end - c->at >= 5 && memcmp(c->at, "empty", 5) == 0) {
        c->at += 5;
        return hn_range_make(Py_None, Py_None, 1, 0, 1);
    }
    int lower_inclusive = hn_skip(c, '['), upper_inclusive = 0;
    if (!lower_inclusive && !hn_skip(c, '('))
        return hn_unreadable(type, "not a range");
    PyObject *lower = read_bound(type, c), *upper = NULL, *range = NULL;
    if (lower != NULL && hn_skip(c, ','))
        upper = read_bound(type, c);
    if (upper != NULL) {
        upper_inclusive = hn_skip(c, ']');
        if (upper_inclusive || hn_skip(c, ')'))
            range = hn_range_make(lower, upper, lower_inclusive, upper_inclusive, 0);
    }
    if (range == NULL && !PyErr_Occurred())
        hn_unreadable(type, "not a range");
    Py_XDECREF(lower);
    Py_XDECREF(upper);
    return range;
}

PyObject *hn_read_range_text(const hn_type *type, const uint8_t *data, size_t len)
{
    hn_cursor c = {data, data + len};
    PyObject *range = read_range(type, &c);
    if (range != NULL && c.at != c.end) {
        Py_DECREF(range);
        return hn_unreadable(type, "trailing characters");
    }
    return range;
}

PyObject *hn_read_multirange_text(const hn_type *type, const uint8_t *data, size_t len)
{
    hn_cursor c = {data, data + len};
    if (!hn_skip(&c, '{'))
        return hn_unreadable(type, "not a multirange");
    PyObject *list = PyList_New(0);
    while (list != NULL && !hn_skip(&c, '}')) {
        PyObject *range = read_range(type->related, &c);
        if (range == NULL || PyList_Append(list, range) < 0)
            Py_CLEAR(list);
        Py_XDECREF(range);
        if (list != NULL && !hn_skip(&c, ',') && hn_peek(&c) != '}') {
            hn_unreadable(type, "a comma is missing");
            Py_CLEAR(list);
        }
    }
    if (list != NULL && c.at != c.end) {
        Py_DECREF(list);
        return hn_unreadable(type, "trailing characters");
    }
    return list;
}

static int write_bound(hn_encoder *encoder, const hn_type *type, PyObject *bound, hn_buf *out)
{
    if (bound == Py_None)
        return HN_WRITTEN;
    size_t start = out->len;
    int rc = hn_write_text(encoder, type->related, bound, out);
    return rc == HN_WRITTEN ? hn_quote(out, start) : rc;
}

int hn_write_range_text(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    hn_range_parts parts;
    if (hn_range_split(value, &parts) < 0)
        return -1;
    if (parts.empty)
        return hn_buf_bytes(out, "empty", 5);
    int rc = hn_buf_u8(out, parts.lower_inclusive ? '[' : '(');
    if (rc == HN_WRITTEN)
        rc = write_bound(encoder, type, parts.lower, out);
    if (rc == HN_WRITTEN)
        rc = hn_buf_u8(out, ',');
    if (rc == HN_WRITTEN)
        rc = write_bound(encoder, type, parts.upper, out);
    if (rc == HN_WRITTEN)
        rc = hn_buf_u8(out, parts.upper_inclusive ? ']' : ')');
    hn_range_parts_free(&parts);
    return rc;
}

int hn_write_multirange_text(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    PyObject *ranges;
    int rc = hn_as_multirange(value, &ranges);
    if (rc != HN_WRITTEN)
        return rc;
    rc = hn_buf_u8(out, '{');
    for (Py_ssize_t i = 0; rc == HN_WRITTEN && i < PyTuple_GET_SIZE(ranges); i++) {
        if (i > 0)
            rc = hn_buf_u8(out, ',');
        if (rc == HN_WRITTEN)
            rc = hn_write_text(encoder, type->related, PyTuple_GET_ITEM(ranges, i), out);
    }
    Py_DECREF(ranges);
    return rc == HN_WRITTEN ? hn_buf_u8(out, '}') : rc;
}
