/* json and jsonb: the built-in reader and writer, or the user's json_loads and json_dumps. */
#include "values/json_text.h"

#include "error.h"
#include "values/text.h"

PyObject *hn_read_json(const hn_type *type, const uint8_t *data, size_t len)
{
    if (type->codec->json_loads == NULL)
        return hn_json_read(type, data, len);
    PyObject *text = hn_str_from_utf8(type, data, len);
    if (text == NULL)
        return NULL;
    PyObject *value = PyObject_CallOneArg(type->codec->json_loads, text);
    Py_DECREF(text);
    return value;
}

/* jsonb is the same text behind a version byte. */
PyObject *hn_read_jsonb(const hn_type *type, const uint8_t *data, size_t len)
{
    if (len < 1 || data[0] != 1)
        return hn_unreadable(type, "unknown version");
    return hn_read_json(type, data + 1, len - 1);
}

/* json_dumps returns str or bytes. */
static int write_hooked(const hn_type *type, PyObject *value, hn_buf *out)
{
    PyObject *text = PyObject_CallOneArg(type->codec->json_dumps, value);
    if (text == NULL)
        return -1;
    int rc = -1;
    if (PyUnicode_Check(text))
        rc = hn_write_str(type, text, out);
    else if (PyBytes_Check(text))
        rc = hn_buf_bytes(out, PyBytes_AS_STRING(text), (size_t)PyBytes_GET_SIZE(text));
    else
        PyErr_Format(PyExc_TypeError, "json_dumps must return str or bytes, not %.100s",
                     Py_TYPE(text)->tp_name);
    Py_DECREF(text);
    return rc;
}

/* A str is JSON text already, which the server checks. */
int hn_write_json(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder;
    if (PyUnicode_Check(value))
        return HN_AS_TEXT;
    if (type->codec->json_dumps != NULL)
        return write_hooked(type, value, out);
    return hn_json_write(type, value, out);
}

int hn_write_jsonb(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    if (PyUnicode_Check(value))
        return HN_AS_TEXT;
    if (hn_buf_u8(out, 1) < 0)
        return -1;
    return hn_write_json(encoder, type, value, out);
}
