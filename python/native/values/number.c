/* boolean, the integers and the floats. */
#include "values/types.h"

#include <math.h>

#include "error.h"
#include "values/python_types.h"
#include "values/text.h"

static PyObject *wrong_length(const hn_type *type)
{
    return hn_unreadable(type, "wrong length");
}

PyObject *hn_read_bool(const hn_type *type, const uint8_t *data, size_t len)
{
    return len == 1 ? Py_NewRef(data[0] ? Py_True : Py_False) : wrong_length(type);
}

PyObject *hn_read_int2(const hn_type *type, const uint8_t *data, size_t len)
{
    return len == 2 ? PyLong_FromLong((int16_t)hn_get_u16(data)) : wrong_length(type);
}

PyObject *hn_read_int4(const hn_type *type, const uint8_t *data, size_t len)
{
    return len == 4 ? PyLong_FromLong((int32_t)hn_get_u32(data)) : wrong_length(type);
}

PyObject *hn_read_int8(const hn_type *type, const uint8_t *data, size_t len)
{
    return len == 8 ? PyLong_FromLongLong((int64_t)hn_get_u64(data)) : wrong_length(type);
}

PyObject *hn_read_oid(const hn_type *type, const uint8_t *data, size_t len)
{
    return len == 4 ? PyLong_FromUnsignedLong(hn_get_u32(data)) : wrong_length(type);
}

PyObject *hn_read_xid8(const hn_type *type, const uint8_t *data, size_t len)
{
    return len == 8 ? PyLong_FromUnsignedLongLong(hn_get_u64(data)) : wrong_length(type);
}

PyObject *hn_read_float4(const hn_type *type, const uint8_t *data, size_t len)
{
    if (len != 4)
        return wrong_length(type);
    uint32_t bits = hn_get_u32(data);
    float value;
    memcpy(&value, &bits, sizeof value);
    return PyFloat_FromDouble((double)value);
}

PyObject *hn_read_float8(const hn_type *type, const uint8_t *data, size_t len)
{
    if (len != 8)
        return wrong_length(type);
    uint64_t bits = hn_get_u64(data);
    double value;
    memcpy(&value, &bits, sizeof value);
    return PyFloat_FromDouble(value);
}

PyObject *hn_read_bool_text(const hn_type *type, const uint8_t *data, size_t len)
{
    if (len == 1 && (data[0] == 't' || data[0] == 'f'))
        return Py_NewRef(data[0] == 't' ? Py_True : Py_False);
    return hn_unreadable(type, "neither t nor f");
}

/* Calls `parse` with the text as a str; its ValueError becomes a DataError. */
static PyObject *parse_text(const hn_type *type, const uint8_t *data, size_t len,
                            PyObject *(*parse)(PyObject *))
{
    PyObject *text = hn_str_from_utf8(type, data, len);
    if (text == NULL)
        return NULL;
    PyObject *value = parse(text);
    Py_DECREF(text);
    if (value == NULL && PyErr_ExceptionMatches(PyExc_ValueError)) {
        PyErr_Clear();
        return hn_unreadable(type, "not a number");
    }
    return value;
}

static PyObject *parse_int(PyObject *text)
{
    return PyLong_FromUnicodeObject(text, 10);
}

PyObject *hn_read_int_text(const hn_type *type, const uint8_t *data, size_t len)
{
    return parse_text(type, data, len, parse_int);
}

PyObject *hn_read_float8_text(const hn_type *type, const uint8_t *data, size_t len)
{
    return parse_text(type, data, len, PyFloat_FromString);
}

/* The float4 that the text stands for, equal to the one in binary: 0.1 is 0.10000000149011612. */
PyObject *hn_read_float4_text(const hn_type *type, const uint8_t *data, size_t len)
{
    PyObject *value = parse_text(type, data, len, PyFloat_FromString);
    if (value == NULL)
        return NULL;
    float nearest = (float)PyFloat_AS_DOUBLE(value);
    Py_DECREF(value);
    return PyFloat_FromDouble((double)nearest);
}

int hn_write_bool(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder, (void)type;
    if (PyBool_Check(value))
        return hn_buf_u8(out, value == Py_True);
    return PyUnicode_Check(value) ? HN_AS_TEXT : HN_NO_FIT;
}

/* Whether a Decimal has more digits ahead of its point than any integer type: 1, 0 or -1. int() of
 * Decimal("1E+999999999") would take the machine's memory before it could be refused. */
static int is_huge_decimal(PyObject *value)
{
    if (!hn_is_decimal(value))
        return 0;
    PyObject *exponent = PyObject_CallMethod(value, "adjusted", NULL);
    long long digits = exponent == NULL ? -1 : PyLong_AsLongLong(exponent);
    Py_XDECREF(exponent);
    return PyErr_Occurred() ? -1 : digits > 20;
}

/* The int that a float or Decimal equals, or NULL with DataError. */
static PyObject *integral(const hn_type *type, PyObject *value)
{
    int is_huge = is_huge_decimal(value);
    if (is_huge != 0) {
        if (is_huge > 0)
            hn_out_of_range(type, value);
        return NULL;
    }
    PyObject *whole = PyNumber_Long(value);
    if (whole == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_ValueError) &&
            !PyErr_ExceptionMatches(PyExc_OverflowError))
            return NULL;
        PyErr_Clear();
        hn_out_of_range(type, value); /* NaN or an infinity */
        return NULL;
    }
    int same = PyObject_RichCompareBool(whole, value, Py_EQ);
    if (same > 0)
        return whole;
    Py_DECREF(whole);
    if (same == 0)
        hn_unfit(type, value, "it has a fraction");
    return NULL;
}

/* The value as a new int, NULL with *returned: -1, HN_AS_TEXT or HN_NO_FIT. */
static PyObject *as_int(const hn_type *type, PyObject *value, int *returned)
{
    PyObject *whole = NULL;
    *returned = -1;
    if (PyLong_CheckExact(value))
        return Py_NewRef(value);
    if (PyUnicode_Check(value))
        *returned = HN_AS_TEXT;
    else if (PyFloat_Check(value) || hn_is_decimal(value))
        whole = integral(type, value);
    else if (PyIndex_Check(value) && !PyBool_Check(value))
        whole = PyNumber_Index(value);
    else
        *returned = HN_NO_FIT;
    return whole;
}

/* A signed integer within [low, high]. */
static int signed_of(const hn_type *type, PyObject *value, int64_t low, int64_t high, int64_t *into)
{
    int returned, overflow;
    PyObject *whole = as_int(type, value, &returned);
    if (whole == NULL)
        return returned;
    long long n = PyLong_AsLongLongAndOverflow(whole, &overflow);
    Py_DECREF(whole);
    if (n == -1 && PyErr_Occurred())
        return -1;
    if (overflow != 0 || n < low || n > high)
        return hn_out_of_range(type, value);
    *into = n;
    return HN_WRITTEN;
}

int hn_write_int2(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder;
    int64_t n = 0; /* set on HN_WRITTEN; gcc does not see it */
    int returned = signed_of(type, value, INT16_MIN, INT16_MAX, &n);
    return returned == HN_WRITTEN ? hn_buf_u16(out, (uint16_t)n) : returned;
}

int hn_write_int4(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder;
    int64_t n = 0; /* set on HN_WRITTEN; gcc does not see it */
    int returned = signed_of(type, value, INT32_MIN, INT32_MAX, &n);
    return returned == HN_WRITTEN ? hn_buf_u32(out, (uint32_t)n) : returned;
}

int hn_write_int8(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder;
    int64_t n = 0; /* set on HN_WRITTEN; gcc does not see it */
    int returned = signed_of(type, value, INT64_MIN, INT64_MAX, &n);
    return returned == HN_WRITTEN ? hn_buf_u64(out, (uint64_t)n) : returned;
}

int hn_write_oid(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder;
    int64_t n = 0; /* set on HN_WRITTEN; gcc does not see it */
    int returned = signed_of(type, value, 0, UINT32_MAX, &n);
    return returned == HN_WRITTEN ? hn_buf_u32(out, (uint32_t)n) : returned;
}

int hn_write_xid8(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder;
    int returned;
    PyObject *whole = as_int(type, value, &returned);
    if (whole == NULL)
        return returned;
    unsigned long long n = PyLong_AsUnsignedLongLong(whole);
    Py_DECREF(whole);
    if (n != (unsigned long long)-1 || !PyErr_Occurred())
        return hn_buf_u64(out, n);
    if (!PyErr_ExceptionMatches(PyExc_OverflowError))
        return -1;
    PyErr_Clear();
    return hn_out_of_range(type, value);
}

/* An int, or an object that converts itself to one, as numpy's do. */
static int is_whole(PyObject *value)
{
    return PyLong_Check(value) ||
           (PyIndex_Check(value) && !PyFloat_Check(value) && !hn_is_decimal(value));
}

static int rounded(const hn_type *type, PyObject *value)
{
    return hn_unfit(type, value, "it cannot be held exactly; send float(value) to have it rounded");
}

/* An int as the double that equals it. */
static int double_of_int(const hn_type *type, PyObject *value, double *into)
{
    PyObject *whole = PyNumber_Index(value);
    if (whole == NULL)
        return -1;
    int returned = HN_WRITTEN;
    *into = PyLong_AsDouble(whole);
    if (*into == -1.0 && PyErr_Occurred()) {
        returned = -1;
        if (PyErr_ExceptionMatches(PyExc_OverflowError)) {
            PyErr_Clear();
            returned = hn_out_of_range(type, value);
        }
    } else if (fabs(*into) >= 9007199254740992.0) { /* 2**53: every int below is a double */
        PyObject *back = PyLong_FromDouble(*into);
        int same = back == NULL ? -1 : PyObject_RichCompareBool(back, whole, Py_EQ);
        Py_XDECREF(back);
        if (same <= 0)
            returned = same < 0 ? -1 : rounded(type, value);
    }
    Py_DECREF(whole);
    return returned;
}

static int double_of(const hn_type *type, PyObject *value, double *into)
{
    if (PyUnicode_Check(value))
        return HN_AS_TEXT;
    if (PyBool_Check(value))
        return HN_NO_FIT;
    if (is_whole(value))
        return double_of_int(type, value, into);
    if (!PyFloat_Check(value) && !hn_is_decimal(value))
        return HN_NO_FIT;
    *into = PyFloat_AsDouble(value);
    if (*into != -1.0 || !PyErr_Occurred())
        return HN_WRITTEN;
    if (PyErr_ExceptionMatches(PyExc_ValueError)) {
        PyErr_Clear();
        return hn_unfit(type, value, "it is a signaling NaN");
    }
    if (!PyErr_ExceptionMatches(PyExc_OverflowError))
        return -1;
    PyErr_Clear();
    return hn_out_of_range(type, value);
}

/* Whether a Decimal that became zero or an infinity was one: float() does not tell them apart. 1, 0
 * or -1. */
static int was_so_before(PyObject *value, double d)
{
    PyObject *returned = PyObject_CallMethod(value, d == 0 ? "is_zero" : "is_infinite", NULL);
    Py_XDECREF(returned);
    return returned == NULL ? -1 : returned == Py_True;
}

int hn_write_float8(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder;
    double d;
    int returned = double_of(type, value, &d);
    if (returned != HN_WRITTEN)
        return returned;
    if ((isinf(d) || d == 0) && hn_is_decimal(value)) {
        int same = was_so_before(value, d);
        if (same <= 0)
            return same < 0 ? -1 : hn_out_of_range(type, value);
    }
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    return hn_buf_u64(out, bits);
}

int hn_write_float4(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder;
    double d;
    int returned = double_of(type, value, &d);
    if (returned != HN_WRITTEN)
        return returned;
    if (d == 0 && hn_is_decimal(value)) {
        int same = was_so_before(value, d);
        if (same <= 0)
            return same < 0 ? -1 : hn_out_of_range(type, value);
    }
    float f = (float)d;
    /* As the server does for the same text: it rounds neither to infinity nor to zero silently. */
    if ((isinf(f) && !isinf(d)) || (f == 0.0f && d != 0.0))
        return hn_out_of_range(type, value);
    if ((double)f != d && is_whole(value))
        return rounded(type, value);
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return hn_buf_u32(out, bits);
}
