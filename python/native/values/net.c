/* inet and cidr. */
#include "values/types.h"

#include "error.h"
#include "values/python_types.h"
#include "values/text.h"

/* PostgreSQL's own numbers for the address families. */
enum { INET_4 = 2, INET_6 = 3 };

static PyObject *make_network(const hn_type *type, int six, PyObject *address, int bits, int max)
{
    PyObject *class;
    if (type->family == HN_FAMILY_CIDR)
        class = six ? hn_python.IPv6Network : hn_python.IPv4Network;
    else if (bits == max)
        return PyObject_CallOneArg(six ? hn_python.IPv6Address : hn_python.IPv4Address, address);
    else
        class = six ? hn_python.IPv6Interface : hn_python.IPv4Interface;
    PyObject *value = PyObject_CallFunction(class, "((Oi))", address, bits);
    if (value == NULL && PyErr_ExceptionMatches(PyExc_ValueError)) {
        PyErr_Clear();
        return hn_unreadable(type, "the mask does not fit the address");
    }
    return value;
}

/* Family, bits of the mask, whether it is cidr, length of the address, address. */
PyObject *hn_read_inet(const hn_type *type, const uint8_t *data, size_t len)
{
    if (len < 4)
        return hn_unreadable(type, "truncated");
    int six = data[0] == INET_6, bits = data[1], size = six ? 16 : 4;
    if ((data[0] != INET_4 && !six) || data[3] != size || len != 4 + (size_t)size ||
        bits > 8 * size)
        return hn_unreadable(type, "invalid header");
    PyObject *address = PyBytes_FromStringAndSize((const char *)data + 4, size);
    if (address == NULL)
        return NULL;
    PyObject *value = make_network(type, six, address, bits, 8 * size);
    Py_DECREF(address);
    return value;
}

PyObject *hn_read_inet_text(const hn_type *type, const uint8_t *data, size_t len)
{
    int six = memchr(data, ':', len) != NULL, mask = memchr(data, '/', len) != NULL;
    PyObject *class;
    if (type->family == HN_FAMILY_CIDR)
        class = six ? hn_python.IPv6Network : hn_python.IPv4Network;
    else if (mask)
        class = six ? hn_python.IPv6Interface : hn_python.IPv4Interface;
    else
        class = six ? hn_python.IPv6Address : hn_python.IPv4Address;
    PyObject *text = hn_str_from_utf8(type, data, len);
    if (text == NULL)
        return NULL;
    PyObject *value = PyObject_CallOneArg(class, text);
    Py_DECREF(text);
    if (value == NULL && PyErr_ExceptionMatches(PyExc_ValueError)) {
        PyErr_Clear();
        return hn_unreadable(type, "not an address");
    }
    return value;
}

static int is_one_of(PyObject *value, PyObject *four, PyObject *six)
{
    return PyObject_TypeCheck(value, (PyTypeObject *)four) ||
           PyObject_TypeCheck(value, (PyTypeObject *)six);
}

/* As text: Python prints what PostgreSQL reads, and columns of addresses are rarely long. */
int hn_write_inet(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder, (void)type, (void)out;
    int fits = PyUnicode_Check(value) ||
               is_one_of(value, hn_python.IPv4Address, hn_python.IPv6Address) ||
               is_one_of(value, hn_python.IPv4Network, hn_python.IPv6Network);
    return fits ? HN_AS_TEXT : HN_NO_FIT;
}

/* An interface's own bits beyond its mask would be refused by the server; they are refused here. */
int hn_write_cidr(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    if (is_one_of(value, hn_python.IPv4Interface, hn_python.IPv6Interface))
        return HN_NO_FIT;
    return hn_write_inet(encoder, type, value, out);
}
