/* bytea. */
#include "values/types.h"

#include "values/text.h"

PyObject *hn_read_bytea(const hn_type *type, const uint8_t *data, size_t len)
{
    (void)type;
    return PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)len);
}

static int nibble(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* bytea_output = hex. */
static PyObject *read_hex(const hn_type *type, const uint8_t *data, size_t len)
{
    PyObject *value = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(len / 2));
    if (value == NULL)
        return NULL;
    char *at = PyBytes_AS_STRING(value);
    for (size_t i = 0; i + 1 < len; i += 2) {
        int high = nibble(data[i]), low = nibble(data[i + 1]);
        if (high < 0 || low < 0) {
            Py_DECREF(value);
            return hn_unreadable(type, "not hexadecimal");
        }
        *at++ = (char)(high << 4 | low);
    }
    return value;
}

/* bytea_output = escape: a backslash is doubled, or stands before three octal digits. */
static PyObject *read_escaped(const hn_type *type, const uint8_t *data, size_t len)
{
    PyObject *value = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)len);
    if (value == NULL)
        return NULL;
    char *start = PyBytes_AS_STRING(value), *at = start;
    for (size_t i = 0; i < len; i++) {
        if (data[i] != '\\') {
            *at++ = (char)data[i];
        } else if (i + 1 < len && data[i + 1] == '\\') {
            *at++ = '\\';
            i++;
        } else if (i + 3 < len) {
            unsigned octal = 0;
            for (size_t last = i + 3; i < last;)
                octal = octal * 8 + (data[++i] - (unsigned)'0');
            *at++ = (char)(octal & 0xff);
        } else {
            Py_DECREF(value);
            return hn_unreadable(type, "truncated escape");
        }
    }
    if (_PyBytes_Resize(&value, at - start) < 0)
        return NULL;
    return value;
}

PyObject *hn_read_bytea_text(const hn_type *type, const uint8_t *data, size_t len)
{
    if (len < 2 || data[0] != '\\' || data[1] != 'x')
        return read_escaped(type, data, len);
    if (len % 2 != 0)
        return hn_unreadable(type, "odd number of hexadecimal digits");
    return read_hex(type, data + 2, len - 2);
}

int hn_write_bytea(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)type;
    if (PyBytes_Check(value))
        return hn_write_bytes(encoder, PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value),
                              out);
    if (PyUnicode_Check(value))
        return HN_AS_TEXT;
    /* Other objects with a buffer (array, an image) hold items, not bytes. */
    if (!PyByteArray_Check(value) && !PyMemoryView_Check(value))
        return HN_NO_FIT;
    Py_buffer view;
    if (PyObject_GetBuffer(value, &view, PyBUF_FULL_RO) < 0)
        return -1;
    int rc = hn_buf_reserve(out, (size_t)view.len);
    if (rc == 0)
        rc = PyBuffer_ToContiguous(out->data + out->len, &view, view.len, 'C');
    if (rc == 0)
        out->len += (size_t)view.len;
    PyBuffer_Release(&view);
    return rc;
}

int hn_write_hex(PyObject *value, hn_buf *out)
{
    static const char digits[] = "0123456789abcdef";
    PyObject *bytes = PyBytes_FromObject(value);
    if (bytes == NULL)
        return -1;
    size_t n = (size_t)PyBytes_GET_SIZE(bytes);
    const uint8_t *from = (const uint8_t *)PyBytes_AS_STRING(bytes);
    int rc = hn_buf_reserve(out, 2 * n);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        out->data[out->len++] = (uint8_t)digits[from[i] >> 4];
        out->data[out->len++] = (uint8_t)digits[from[i] & 15];
    }
    Py_DECREF(bytes);
    return rc;
}

int hn_write_bytea_text(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder, (void)type;
    return hn_buf_bytes(out, "\\x", 2) < 0 ? -1 : hn_write_hex(value, out);
}
