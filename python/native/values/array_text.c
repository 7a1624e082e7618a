/* Arrays in text: {1,NULL,"a \"b\""}, with [2:4]= before it where they do not start at 1. */
#include "values/array.h"
#include "values/literal.h"

static PyObject *read_level(const hn_type *type, hn_cursor *c, int depth);

static PyObject *read_item(const hn_type *type, hn_cursor *c, int depth)
{
    if (hn_peek(c) == '{')
        return read_level(type, c, depth + 1);
    char stops[] = {type->related->delimiter, '}', '\0'};
    hn_token token;
    if (hn_read_token(type, c, stops, &token) < 0)
        return NULL;
    PyObject *item = hn_token_is_null(&token)
                         ? Py_NewRef(Py_None)
                         : type->related->read_text(type->related, token.data, token.len);
    hn_token_free(&token);
    return item;
}

static PyObject *read_level(const hn_type *type, hn_cursor *c, int depth)
{
    if (depth > HN_MAX_DIMENSIONS || !hn_skip(c, '{'))
        return hn_unreadable(type, "not an array");
    PyObject *list = PyList_New(0);
    if (list == NULL || hn_skip(c, '}'))
        return list;
    for (;;) {
        PyObject *item = read_item(type, c, depth);
        int appended = item == NULL ? -1 : PyList_Append(list, item);
        Py_XDECREF(item);
        if (appended < 0)
            break;
        if (hn_skip(c, '}'))
            return list;
        if (!hn_skip(c, type->related->delimiter)) {
            hn_unreadable(type, "a delimiter is missing");
            break;
        }
    }
    Py_DECREF(list);
    return NULL;
}

PyObject *hn_read_array_text(const hn_type *type, const uint8_t *data, size_t len)
{
    hn_cursor c = {data, data + len};
    if (hn_peek(&c) == '[') {
        while (c.at < c.end && *c.at != '=')
            c.at++;
        hn_skip(&c, '=');
    }
    PyObject *list = read_level(type, &c, 1);
    if (list != NULL && c.at != c.end) {
        Py_DECREF(list);
        return hn_unreadable(type, "trailing characters");
    }
    return list;
}

/* int2vector and oidvector: numbers with blanks between them. */
PyObject *hn_read_vector_text(const hn_type *type, const uint8_t *data, size_t len)
{
    PyObject *list = PyList_New(0);
    hn_cursor c = {data, data + len};
    while (list != NULL && c.at < c.end) {
        hn_token token;
        if (hn_read_token(type, &c, " ", &token) < 0) {
            Py_CLEAR(list);
            break;
        }
        PyObject *item = type->related->read_text(type->related, token.data, token.len);
        hn_token_free(&token);
        hn_skip(&c, ' ');
        if (item == NULL || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

static int write_item(hn_encoder *encoder, const hn_type *type, PyObject *item, hn_buf *out)
{
    if (item == Py_None)
        return hn_buf_bytes(out, "NULL", 4);
    size_t start = out->len;
    int rc = hn_write_text(encoder, type->related, item, out);
    return rc == HN_WRITTEN ? hn_quote(out, start) : rc;
}

static int write_level(hn_encoder *encoder, const hn_type *type, PyObject *value,
                       const int32_t *sizes, int ndim, hn_buf *out)
{
    PyObject *level = hn_array_level(type, value, sizes[0]);
    if (level == NULL)
        return -1;
    int rc = hn_buf_u8(out, '{');
    for (Py_ssize_t i = 0; rc == HN_WRITTEN && i < PyTuple_GET_SIZE(level); i++) {
        PyObject *item = PyTuple_GET_ITEM(level, i);
        if (i % HN_LATE_EVERY == HN_LATE_EVERY - 1 && hn_encoder_is_late(encoder)) {
            rc = -1;
            break;
        }
        if (i > 0)
            rc = hn_buf_u8(out, (uint8_t)type->related->delimiter);
        if (rc == HN_WRITTEN)
            rc = ndim == 1 ? write_item(encoder, type, item, out)
                           : write_level(encoder, type, item, sizes + 1, ndim - 1, out);
    }
    Py_DECREF(level);
    return rc == HN_WRITTEN ? hn_buf_u8(out, '}') : rc;
}

int hn_write_array_text(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    PyObject *sequence;
    int rc = hn_as_array(value, &sequence);
    if (rc != HN_WRITTEN)
        return rc;
    hn_shape shape;
    if (hn_measure_array(type, sequence, &shape) < 0)
        rc = -1;
    else if (shape.ndim == 0)
        rc = hn_buf_bytes(out, "{}", 2);
    else
        rc = write_level(encoder, type, sequence, shape.sizes, shape.ndim, out);
    Py_DECREF(sequence);
    return rc;
}

int hn_write_vector_text(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    PyObject *items = PySequence_Tuple(value);
    if (items == NULL)
        return -1;
    int rc = HN_WRITTEN;
    for (Py_ssize_t i = 0; rc == HN_WRITTEN && i < PyTuple_GET_SIZE(items); i++) {
        if (i > 0)
            rc = hn_buf_u8(out, ' ');
        if (rc == HN_WRITTEN)
            rc = hn_write_text(encoder, type->related, PyTuple_GET_ITEM(items, i), out);
    }
    Py_DECREF(items);
    return rc;
}
