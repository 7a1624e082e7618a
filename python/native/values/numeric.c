/* numeric: base-10000 digits on the wire, decimal.Decimal in Python. */
#include "values/types.h"

#include "error.h"
#include "values/python_types.h"
#include "values/text.h"

/* The wire's signs, three of which are values. */
enum {
    POSITIVE = 0x0000,
    NEGATIVE = 0x4000,
    NOT_A_NUMBER = 0xC000,
    INFINITE = 0xD000,
    MINUS_INFINITE = 0xF000
};
/* PostgreSQL's limits: 131,072 digits before the point, 16,383 after. */
enum { MAX_WEIGHT = 32767, MAX_SCALE = 16383 };

static PyObject *decimal_from_ascii(const char *text)
{
    PyObject *str = PyUnicode_FromString(text);
    if (str == NULL)
        return NULL;
    PyObject *value = PyObject_CallOneArg(hn_python.create_decimal, str);
    Py_DECREF(str);
    return value;
}

static inline char *put_group(char *at, unsigned group)
{
    at[0] = (char)('0' + group / 1000);
    at[1] = (char)('0' + group / 100 % 10);
    at[2] = (char)('0' + group / 10 % 10);
    at[3] = (char)('0' + group % 10);
    return at + 4;
}

/* The group of four digits that weighs 10000 to the power of `weight`, 0 beyond both ends. */
static inline unsigned group_at(const uint8_t *groups, int ngroups, int first_weight, int weight)
{
    int i = first_weight - weight;
    return i >= 0 && i < ngroups ? hn_get_u16(groups + 2 * (size_t)i) : 0;
}

PyObject *hn_read_numeric(const hn_type *type, const uint8_t *data, size_t len)
{
    if (len < 8)
        return hn_unreadable(type, "truncated");
    int ngroups = hn_get_u16(data), weight = (int16_t)hn_get_u16(data + 2);
    unsigned sign = hn_get_u16(data + 4);
    int scale = hn_get_u16(data + 6);
    const uint8_t *groups = data + 8;
    if (sign == NOT_A_NUMBER)
        return decimal_from_ascii("NaN");
    if (sign == INFINITE)
        return decimal_from_ascii("Infinity");
    if (sign == MINUS_INFINITE)
        return decimal_from_ascii("-Infinity");
    if ((sign != POSITIVE && sign != NEGATIVE) || scale > MAX_SCALE ||
        len != 8 + 2 * (size_t)ngroups)
        return hn_unreadable(type, "invalid header");
    for (int i = 0; i < ngroups; i++)
        if (hn_get_u16(groups + 2 * (size_t)i) > 9999)
            return hn_unreadable(type, "a digit is too large");
    if (ngroups == 0)
        weight = 0;

    /* The first group without its leading zeros; a value below 1 starts with one zero. */
    int whole = weight >= 0 ? weight + 1 : 0;
    unsigned first = whole > 0 ? group_at(groups, ngroups, weight, weight) : 0;
    int lead = first >= 1000 ? 4 : first >= 100 ? 3 : first >= 10 ? 2 : 1;
    int size =
        (sign == NEGATIVE) + lead + (whole > 1 ? (whole - 1) * 4 : 0) + (scale > 0 ? scale + 1 : 0);
    PyObject *str = PyUnicode_New(size, 127);
    if (str == NULL)
        return NULL;
    char *at = PyUnicode_DATA(str), group[4];
    if (sign == NEGATIVE)
        *at++ = '-';
    put_group(group, first);
    memcpy(at, group + 4 - lead, (size_t)lead);
    at += lead;
    for (int w = weight - 1; w >= 0; w--)
        at = put_group(at, group_at(groups, ngroups, weight, w));
    if (scale > 0) {
        *at++ = '.';
        for (int w = -1; scale > 0; w--, scale -= 4) {
            put_group(group, group_at(groups, ngroups, weight, w));
            size_t n = scale < 4 ? (size_t)scale : 4;
            memcpy(at, group, n);
            at += n;
        }
    }
    PyObject *value = PyObject_CallOneArg(hn_python.create_decimal, str);
    Py_DECREF(str);
    return value;
}

PyObject *hn_read_numeric_text(const hn_type *type, const uint8_t *data, size_t len)
{
    PyObject *str = hn_str_from_utf8(type, data, len);
    if (str == NULL)
        return NULL;
    PyObject *value = PyObject_CallOneArg(hn_python.create_decimal, str);
    Py_DECREF(str);
    return value;
}

/* A number's text in parts: digits without the point, and where the point is. */
typedef struct {
    const char *digits, *end; /* may contain one '.' */
    int negative;
    long long before; /* digits before the point; may be negative or beyond the digits */
    long long scale;  /* digits after the point that the value shows */
} parts;

/* str(Decimal), repr(float) or an int's digits: [-]digits[.digits][E[+-]digits]. */
static int split(const char *text, parts *p)
{
    p->negative = *text == '-';
    if (*text == '-' || *text == '+')
        text++;
    p->digits = text;
    const char *point = NULL;
    while ((*text >= '0' && *text <= '9') || (*text == '.' && point == NULL)) {
        if (*text == '.')
            point = text;
        text++;
    }
    p->end = text;
    long long shift = 0;
    if (*text == 'e' || *text == 'E') {
        char *rest;
        shift = strtoll(text + 1, &rest, 10); /* saturates, which the limits then refuse */
        text = rest;
        if (shift > 1000000 || shift < -1000000)
            shift = shift > 0 ? 1000000 : -1000000;
    }
    if (*text != '\0' || p->end - p->digits - (point != NULL) < 1)
        return -1;
    p->before = (point == NULL ? p->end : point) - p->digits + shift;
    p->scale = (point == NULL ? 0 : p->end - point - 1) - shift;
    if (p->scale < 0)
        p->scale = 0;
    return 0;
}

/* Groups of four digits aligned to the point, zeros at both ends left out. */
static int write_groups(const hn_type *type, PyObject *value, const parts *p, hn_buf *out)
{
    const char *at = p->digits;
    long long before = p->before;
    while (at < p->end && (*at == '0' || *at == '.')) {
        before -= *at == '0';
        at++;
    }
    if (at == p->end)
        before = 0;
    long long weight = before > 0 ? (before - 1) / 4 : -(-before / 4) - 1; /* rounded down */
    if (at < p->end && (weight > MAX_WEIGHT || p->scale > MAX_SCALE))
        return hn_out_of_range(type, value);
    if (p->scale > MAX_SCALE)
        return hn_out_of_range(type, value);
    size_t header = out->len;
    if (hn_buf_reserve(out, 8 + 2 * ((size_t)(p->end - at) / 4 + 3)) < 0)
        return -1;
    out->len += 8;
    /* The first group holds before - 4 * weight digits of the number, or fewer below 1. */
    long long filled = 4 - (before - 4 * weight);
    unsigned group = 0;
    size_t ngroups = 0, used = 0;
    for (; at < p->end; at++) {
        if (*at == '.')
            continue;
        group = group * 10 + (unsigned)(*at - '0');
        if (++filled < 4)
            continue;
        hn_put_u16(out->data + out->len + 2 * ngroups++, (uint16_t)group);
        if (group != 0)
            used = ngroups;
        group = 0;
        filled = 0;
    }
    if (group != 0) {
        for (; filled < 4; filled++)
            group *= 10;
        hn_put_u16(out->data + out->len + 2 * ngroups++, (uint16_t)group);
        used = ngroups;
    }
    out->len += 2 * used;
    uint8_t *h = out->data + header;
    hn_put_u16(h, (uint16_t)used);
    hn_put_u16(h + 2, (uint16_t)(used == 0 ? 0 : weight));
    hn_put_u16(h + 4, used > 0 && p->negative ? NEGATIVE : POSITIVE);
    hn_put_u16(h + 6, (uint16_t)p->scale);
    return HN_WRITTEN;
}

static int write_special(unsigned sign, hn_buf *out)
{
    return hn_buf_u32(out, 0) < 0 ? -1 : hn_buf_u32(out, (uint32_t)sign << 16);
}

static int write_ascii(const hn_type *type, PyObject *value, const char *text, hn_buf *out)
{
    parts p;
    if (split(text, &p) == 0)
        return write_groups(type, value, &p, out);
    const char *word = *text == '-' ? text + 1 : text;
    if (*word == 'N' || *word == 'n' || *word == 's')
        return write_special(NOT_A_NUMBER, out);
    return write_special(*text == '-' ? MINUS_INFINITE : INFINITE, out);
}

/* Whether an int has more digits than the 131,072 of numeric, which 435,412 bits may exceed: 1, 0
 * or -1. write_groups refuses what is between. */
static int is_huge_int(PyObject *number)
{
    enum { MAX_BITS = 435412 };
    if (!PyLong_Check(number))
        return 0;
    int overflow;
    (void)PyLong_AsLongLongAndOverflow(number, &overflow);
    if (overflow == 0)
        return 0;
    PyObject *length = PyObject_CallMethod(number, "bit_length", NULL);
    long long bits = length == NULL ? -1 : PyLong_AsLongLong(length);
    Py_XDECREF(length);
    return PyErr_Occurred() ? -1 : bits > MAX_BITS;
}

int hn_write_numeric(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder;
    if (PyUnicode_Check(value))
        return HN_AS_TEXT;
    if (PyBool_Check(value))
        return HN_NO_FIT;
    PyObject *number = NULL;
    if (PyLong_Check(value) || PyFloat_Check(value) || hn_is_decimal(value))
        number = Py_NewRef(value);
    else if (PyIndex_Check(value))
        number = PyNumber_Index(value);
    else
        return HN_NO_FIT;
    int is_huge = number == NULL ? -1 : is_huge_int(number);
    if (is_huge > 0)
        hn_out_of_range(type, value);
    PyObject *digits = is_huge != 0 ? NULL : hn_number_digits(type, number);
    Py_XDECREF(number);
    const char *text = digits == NULL ? NULL : PyUnicode_AsUTF8(digits);
    int rc = text == NULL ? -1 : write_ascii(type, value, text, out);
    Py_XDECREF(digits);
    return rc;
}
