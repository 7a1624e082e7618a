/* hstore, the extension's map of text to text or NULL. */
#include "values/types.h"

#include "values/literal.h"
#include "values/text.h"

/* A length and that many bytes of text; None for -1 where that is allowed. */
static PyObject *read_part(const hn_type *type, hn_cursor *c, int may_be_null)
{
    if (c->end - c->at < 4)
        return hn_unreadable(type, "a key or value is missing");
    int32_t size = (int32_t)hn_get_u32(c->at);
    c->at += 4;
    if (size == -1 && may_be_null)
        return Py_NewRef(Py_None);
    if (size < 0 || size > c->end - c->at)
        return hn_unreadable(type, "a key or value is longer than the remaining bytes");
    PyObject *text = hn_str_from_utf8(type, c->at, (size_t)size);
    c->at += size;
    return text;
}

static int set_and_drop(PyObject *dict, PyObject *key, PyObject *value)
{
    int rc = key == NULL || value == NULL ? -1 : PyDict_SetItem(dict, key, value);
    Py_XDECREF(key);
    Py_XDECREF(value);
    return rc;
}

PyObject *hn_read_hstore(const hn_type *type, const uint8_t *data, size_t len)
{
    if (len < 4)
        return hn_unreadable(type, "truncated");
    uint32_t n = hn_get_u32(data);
    hn_cursor c = {data + 4, data + len};
    PyObject *dict = PyDict_New();
    while (dict != NULL && n-- > 0) {
        PyObject *key = read_part(type, &c, 0);
        PyObject *value = key == NULL ? NULL : read_part(type, &c, 1);
        if (set_and_drop(dict, key, value) < 0)
            Py_CLEAR(dict);
    }
    if (dict != NULL && c.at != c.end) {
        Py_DECREF(dict);
        return hn_unreadable(type, "trailing bytes");
    }
    return dict;
}

static PyObject *read_text_part(const hn_type *type, hn_cursor *c, const char *stops)
{
    hn_token token;
    if (hn_read_token(type, c, stops, &token) < 0)
        return NULL;
    PyObject *text = hn_token_is_null(&token) ? Py_NewRef(Py_None)
                                              : hn_str_from_utf8(type, token.data, token.len);
    hn_token_free(&token);
    return text;
}

/* "a"=>"1", "b"=>NULL */
PyObject *hn_read_hstore_text(const hn_type *type, const uint8_t *data, size_t len)
{
    hn_cursor c = {data, data + len};
    PyObject *dict = PyDict_New();
    while (dict != NULL && c.at < c.end) {
        PyObject *key = read_text_part(type, &c, "="), *value = NULL;
        if (key != NULL && hn_skip(&c, '=') && hn_skip(&c, '>'))
            value = read_text_part(type, &c, ",");
        else if (key != NULL)
            hn_unreadable(type, "an arrow is missing");
        if (set_and_drop(dict, key, value) < 0)
            Py_CLEAR(dict);
        while (hn_skip(&c, ',') || hn_skip(&c, ' '))
            ;
    }
    return dict;
}

/* Keys are str, values str or None, as in hstore itself. */
static int check_items(const hn_type *type, PyObject *dict)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    while (PyDict_Next(dict, &at, &key, &value))
        if (!PyUnicode_Check(key) || (value != Py_None && !PyUnicode_Check(value))) {
            PyErr_Format(PyExc_TypeError,
                         "PostgreSQL type %U takes str keys and str or None values", type->name);
            return -1;
        }
    return 0;
}

static int write_part(const hn_type *type, PyObject *text, hn_buf *out)
{
    if (text == Py_None)
        return hn_buf_u32(out, UINT32_MAX);
    Py_ssize_t at = hn_buf_open32(out);
    if (at < 0 || hn_write_str(type, text, out) < 0)
        return -1;
    return hn_buf_close32(out, at);
}

int hn_write_hstore(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder;
    if (PyUnicode_Check(value))
        return HN_AS_TEXT;
    if (!PyDict_Check(value))
        return HN_NO_FIT;
    if (check_items(type, value) < 0 || hn_buf_u32(out, (uint32_t)PyDict_Size(value)) < 0)
        return -1;
    PyObject *key, *item;
    Py_ssize_t at = 0;
    while (PyDict_Next(value, &at, &key, &item))
        if (write_part(type, key, out) < 0 || write_part(type, item, out) < 0)
            return -1;
    return HN_WRITTEN;
}

static int write_quoted(const hn_type *type, PyObject *text, hn_buf *out)
{
    if (text == Py_None)
        return hn_buf_bytes(out, "NULL", 4);
    size_t start = out->len;
    return hn_write_str(type, text, out) < 0 ? -1 : hn_quote(out, start);
}

int hn_write_hstore_text(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder;
    PyObject *key, *item;
    Py_ssize_t at = 0;
    int first = 1;
    while (PyDict_Next(value, &at, &key, &item)) {
        if ((!first && hn_buf_u8(out, ',') < 0) || write_quoted(type, key, out) < 0 ||
            hn_buf_bytes(out, "=>", 2) < 0 || write_quoted(type, item, out) < 0)
            return -1;
        first = 0;
    }
    return HN_WRITTEN;
}
