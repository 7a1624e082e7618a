/* uuid. */
#include "values/types.h"

#include "values/python_types.h"
#include "values/text.h"

/* A UUID without its constructor, which takes ten times as long: it is an object with two slots,
 * which its own __setattr__ guards and their descriptors fill. */
PyObject *hn_read_uuid(const hn_type *type, const uint8_t *data, size_t len)
{
    if (len != 16)
        return hn_unreadable(type, "wrong length");
    PyTypeObject *class = (PyTypeObject *)hn_python.UUID;
    PyObject *number = _PyLong_FromByteArray(data, 16, 0, 0);
    if (number == NULL)
        return NULL;
    PyObject *value = class->tp_alloc(class, 0);
    if (value != NULL &&
        (Py_TYPE(hn_python.uuid_int)->tp_descr_set(hn_python.uuid_int, value, number) < 0 ||
         Py_TYPE(hn_python.uuid_is_safe)
                 ->tp_descr_set(hn_python.uuid_is_safe, value, hn_python.uuid_unknown) < 0))
        Py_CLEAR(value);
    Py_DECREF(number);
    return value;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

PyObject *hn_read_uuid_text(const hn_type *type, const uint8_t *data, size_t len)
{
    uint8_t bytes[16];
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (data[i] == '-')
            continue;
        if (n == 32 || hex_digit(data[i]) < 0)
            return hn_unreadable(type, "not 32 hexadecimal digits");
        uint8_t digit = (uint8_t)hex_digit(data[i]);
        bytes[n / 2] = (uint8_t)(n % 2 == 0 ? digit << 4 : bytes[n / 2] | digit);
        n++;
    }
    return n == 32 ? hn_read_uuid(type, bytes, 16)
                   : hn_unreadable(type, "not 32 hexadecimal digits");
}

int hn_write_uuid(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder;
    if (PyUnicode_Check(value))
        return HN_AS_TEXT;
    if (PyObject_TypeCheck(value, (PyTypeObject *)hn_python.UUID)) {
        PyObject *bytes = PyObject_GetAttrString(value, "bytes");
        if (bytes == NULL)
            return -1;
        int rc = PyBytes_Check(bytes) && PyBytes_GET_SIZE(bytes) == 16
                     ? hn_buf_bytes(out, PyBytes_AS_STRING(bytes), 16)
                     : hn_unfit(type, value, "its bytes attribute is not 16 bytes long");
        Py_DECREF(bytes);
        return rc;
    }
    if (!PyObject_CheckBuffer(value))
        return HN_NO_FIT;
    Py_buffer view;
    if (PyObject_GetBuffer(value, &view, PyBUF_FULL_RO) < 0)
        return -1;
    uint8_t bytes[16];
    int rc = view.len != 16 ? hn_unfit(type, value, "it is not 16 bytes long")
                            : PyBuffer_ToContiguous(bytes, &view, 16, 'C');
    if (rc == 0)
        rc = hn_buf_bytes(out, bytes, 16);
    PyBuffer_Release(&view);
    return rc;
}

int hn_write_uuid_text(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    if (!PyObject_CheckBuffer(value))
        return hn_write_plain_text(encoder, type, value, out);
    return hn_write_hex(value, out);
}
