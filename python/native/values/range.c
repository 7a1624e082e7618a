/* Ranges and multiranges in binary. */
#include "values/types.h"

#include "values/range.h"
#include "values/python_types.h"

/* The flags before a range's bounds. */
enum {
    EMPTY = 1,
    LOWER_INCLUSIVE = 2,
    UPPER_INCLUSIVE = 4,
    LOWER_INFINITE = 8,
    UPPER_INFINITE = 16
};

PyObject *hn_range_make(PyObject *lower, PyObject *upper, int lower_inclusive, int upper_inclusive,
                        int empty)
{
    PyObject *class = hn_range_class();
    if (class == NULL)
        return NULL;
    char bounds[] = {lower_inclusive ? '[' : '(', upper_inclusive ? ']' : ')', '\0'};
    return PyObject_CallFunction(class, "OOsO", lower, upper, bounds, empty ? Py_True : Py_False);
}

/* A bound that is not infinite. */
static PyObject *read_bound(const hn_type *type, const uint8_t **at, const uint8_t *end)
{
    if (end - *at < 4)
        return hn_unreadable(type, "a bound is missing");
    int32_t size = (int32_t)hn_get_u32(*at);
    if (size < 0 || size > end - *at - 4)
        return hn_unreadable(type, "a bound is longer than the remaining bytes");
    const uint8_t *data = *at + 4;
    *at = data + size;
    return type->related->read(type->related, data, (size_t)size);
}

PyObject *hn_read_range(const hn_type *type, const uint8_t *data, size_t len)
{
    if (len < 1)
        return hn_unreadable(type, "truncated");
    const uint8_t *at = data + 1, *end = data + len;
    int flags = data[0];
    if (flags & EMPTY)
        return hn_range_make(Py_None, Py_None, 1, 0, 1);
    PyObject *lower = NULL, *upper = NULL, *range = NULL;
    lower = flags & LOWER_INFINITE ? Py_NewRef(Py_None) : read_bound(type, &at, end);
    if (lower != NULL)
        upper = flags & UPPER_INFINITE ? Py_NewRef(Py_None) : read_bound(type, &at, end);
    if (upper != NULL && at != end)
        hn_unreadable(type, "trailing bytes");
    else if (upper != NULL)
        range = hn_range_make(lower, upper, flags & LOWER_INCLUSIVE, flags & UPPER_INCLUSIVE, 0);
    Py_XDECREF(lower);
    Py_XDECREF(upper);
    return range;
}

PyObject *hn_read_multirange(const hn_type *type, const uint8_t *data, size_t len)
{
    if (len < 4)
        return hn_unreadable(type, "truncated");
    uint32_t n = hn_get_u32(data);
    const uint8_t *at = data + 4, *end = data + len;
    PyObject *list = PyList_New(0);
    while (list != NULL && n-- > 0) {
        PyObject *range = read_bound(type, &at, end);
        if (range == NULL || PyList_Append(list, range) < 0)
            Py_CLEAR(list);
        Py_XDECREF(range);
    }
    if (list != NULL && at != end) {
        Py_DECREF(list);
        return hn_unreadable(type, "trailing bytes");
    }
    return list;
}

int hn_range_split(PyObject *value, hn_range_parts *parts)
{
    memset(parts, 0, sizeof *parts);
    PyObject *empty = PyObject_GetAttrString(value, "empty");
    if (empty == NULL)
        return -1;
    parts->empty = PyObject_IsTrue(empty);
    Py_DECREF(empty);
    if (parts->empty != 0)
        return parts->empty < 0 ? -1 : 0;
    PyObject *bounds = PyObject_GetAttrString(value, "bounds");
    const char *text = bounds == NULL ? NULL : PyUnicode_AsUTF8(bounds);
    if (text != NULL && strlen(text) == 2) {
        parts->lower_inclusive = text[0] == '[';
        parts->upper_inclusive = text[1] == ']';
        parts->lower = PyObject_GetAttrString(value, "lower");
        parts->upper = PyObject_GetAttrString(value, "upper");
    } else if (text != NULL) {
        PyErr_SetString(PyExc_TypeError, "bounds of a Range must be two characters, such as '[)'");
    }
    Py_XDECREF(bounds);
    if (parts->lower != NULL && parts->upper != NULL)
        return 0;
    hn_range_parts_free(parts);
    return -1;
}

void hn_range_parts_free(hn_range_parts *parts)
{
    Py_CLEAR(parts->lower);
    Py_CLEAR(parts->upper);
}

int hn_is_range(PyObject *value)
{
    PyObject *class = hn_range_class();
    return class == NULL ? -1 : PyObject_IsInstance(value, class);
}

static int write_bounds(hn_encoder *encoder, const hn_type *type, const hn_range_parts *parts,
                        hn_buf *out)
{
    if (parts->empty)
        return hn_buf_u8(out, EMPTY);
    int flags = (parts->lower == Py_None  ? LOWER_INFINITE
                 : parts->lower_inclusive ? LOWER_INCLUSIVE
                                          : 0) |
                (parts->upper == Py_None  ? UPPER_INFINITE
                 : parts->upper_inclusive ? UPPER_INCLUSIVE
                                          : 0);
    int rc = hn_buf_u8(out, (uint8_t)flags);
    if (rc == HN_WRITTEN && parts->lower != Py_None)
        rc = hn_write_value(encoder, type->related, parts->lower, out);
    if (rc == HN_WRITTEN && parts->upper != Py_None)
        rc = hn_write_value(encoder, type->related, parts->upper, out);
    return rc;
}

int hn_write_range(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    if (PyUnicode_Check(value))
        return HN_AS_TEXT;
    int is_range = hn_is_range(value);
    if (is_range <= 0)
        return is_range < 0 ? -1 : HN_NO_FIT;
    if (!type->sends_binary)
        return HN_AS_TEXT;
    hn_range_parts parts;
    if (hn_range_split(value, &parts) < 0)
        return -1;
    int rc = write_bounds(encoder, type, &parts, out);
    hn_range_parts_free(&parts);
    return rc;
}

int hn_as_multirange(PyObject *value, PyObject **ranges)
{
    *ranges = NULL;
    if (PyUnicode_Check(value))
        return HN_AS_TEXT;
    if (PyList_Check(value) || PyTuple_Check(value) || PyAnySet_Check(value)) {
        *ranges = PySequence_Tuple(value);
    } else {
        int is_range = hn_is_range(value);
        if (is_range <= 0)
            return is_range < 0 ? -1 : HN_NO_FIT;
        *ranges = PyTuple_Pack(1, value);
    }
    return *ranges == NULL ? -1 : HN_WRITTEN;
}

int hn_write_multirange(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    PyObject *ranges;
    int rc = hn_as_multirange(value, &ranges);
    if (rc != HN_WRITTEN)
        return rc;
    rc = type->sends_binary ? hn_buf_u32(out, (uint32_t)PyTuple_GET_SIZE(ranges)) : HN_AS_TEXT;
    for (Py_ssize_t i = 0; rc == HN_WRITTEN && i < PyTuple_GET_SIZE(ranges); i++) {
        PyObject *range = PyTuple_GET_ITEM(ranges, i);
        rc = range == Py_None ? hn_unfit(type, value, "it contains None")
                              : hn_write_value(encoder, type->related, range, out);
    }
    Py_DECREF(ranges);
    return rc;
}
