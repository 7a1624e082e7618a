/* Arrays in binary: a header with dimensions, then the elements. */
#include "values/types.h"

#include "values/array.h"

/* The bytes of an array that have not been read yet. */
typedef struct {
    const uint8_t *at, *end;
} cursor;

static PyObject *read_element(const hn_type *array, cursor *c)
{
    if (c->end - c->at < 4)
        return hn_unreadable(array, "an element is missing");
    int32_t size = (int32_t)hn_get_u32(c->at);
    c->at += 4;
    if (size < -1 || size > c->end - c->at)
        return hn_unreadable(array, "an element is longer than the remaining bytes");
    PyObject *value = hn_read_value(array->related, c->at, size);
    if (size > 0)
        c->at += size;
    return value;
}

/* One dimension as a list: of values in the last dimension, else of lists. */
static PyObject *read_dimension(const hn_type *array, cursor *c, const int32_t *sizes, int ndim)
{
    PyObject *list = PyList_New(sizes[0]);
    for (int32_t i = 0; list != NULL && i < sizes[0]; i++) {
        PyObject *item =
            ndim == 1 ? read_element(array, c) : read_dimension(array, c, sizes + 1, ndim - 1);
        if (item == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, i, item);
    }
    return list;
}

PyObject *hn_read_array(const hn_type *type, const uint8_t *data, size_t len)
{
    int32_t sizes[HN_MAX_DIMENSIONS];
    if (len < 12)
        return hn_unreadable(type, "truncated header");
    uint32_t ndim = hn_get_u32(data);
    if (ndim > HN_MAX_DIMENSIONS || len < 12 + 8 * (size_t)ndim)
        return hn_unreadable(type, "invalid number of dimensions");
    if (hn_get_u32(data + 8) != type->related->oid && hn_get_u32(data + 8) != type->related_oid)
        return hn_unreadable(type, "the elements are of another type");
    cursor c = {data + 12 + 8 * (size_t)ndim, data + len};
    /* Every element takes at least four bytes, so that a false count cannot allocate more memory
     * than the message. */
    uint64_t room = (uint64_t)(c.end - c.at) / 4, count = 1;
    for (uint32_t i = 0; i < ndim; i++) {
        uint32_t size = hn_get_u32(data + 12 + 8 * (size_t)i); /* the lower bound is not kept */
        if (size > room || (count *= size) > room)
            return hn_unreadable(type, "invalid dimensions");
        sizes[i] = (int32_t)size;
    }
    if (ndim == 0 || count == 0) /* the second: an empty vector */
        return c.at == c.end ? PyList_New(0) : hn_unreadable(type, "trailing bytes");
    PyObject *list = read_dimension(type, &c, sizes, (int)ndim);
    if (list != NULL && c.at != c.end) {
        Py_DECREF(list);
        return hn_unreadable(type, "trailing bytes");
    }
    return list;
}

/* In arrays of these types a list within the list is the value of one element. */
static int element_is_sequence(const hn_type *element)
{
    switch (element->family) {
    case HN_FAMILY_JSON:
    case HN_FAMILY_JSONB:
    case HN_FAMILY_MULTIRANGE:
    case HN_FAMILY_COMPOSITE:
    case HN_FAMILY_ARRAY: /* a domain over an array */
    case HN_FAMILY_VECTOR:
        return 1;
    default:
        return element->dumps != NULL;
    }
}

int hn_measure_array(const hn_type *type, PyObject *value, hn_shape *shape)
{
    int nests = !element_is_sequence(type->related);
    shape->ndim = 0;
    while (PyList_Check(value) || PyTuple_Check(value)) {
        Py_ssize_t size = PySequence_Fast_GET_SIZE(value);
        if (shape->ndim == HN_MAX_DIMENSIONS)
            return hn_unfit(type, value, "PostgreSQL arrays have at most 6 dimensions");
        if (size > INT32_MAX)
            return hn_unfit(type, value, "it has too many elements");
        if (size == 0) {
            if (shape->ndim > 0)
                return hn_unfit(type, value, "a dimension of an array cannot be empty");
            return 0;
        }
        shape->sizes[shape->ndim++] = (int32_t)size;
        if (!nests)
            return 0;
        value = PySequence_Fast_GET_ITEM(value, 0);
    }
    return 0;
}

PyObject *hn_array_level(const hn_type *type, PyObject *value, int32_t size)
{
    if (!PyList_Check(value) && !PyTuple_Check(value)) {
        hn_unfit(type, value, "its lists are nested to different depths");
        return NULL;
    }
    if (PySequence_Fast_GET_SIZE(value) != size) {
        hn_unfit(type, value, "its lists differ in length");
        return NULL;
    }
    /* Copied, so that no converter can change the list while it is read. */
    return PySequence_Tuple(value);
}

static int write_level(hn_encoder *encoder, const hn_type *type, PyObject *value,
                       const int32_t *sizes, int ndim, int *has_null, hn_buf *out)
{
    PyObject *level = hn_array_level(type, value, sizes[0]);
    if (level == NULL)
        return -1;
    int rc = HN_WRITTEN;
    for (Py_ssize_t i = 0; rc == HN_WRITTEN && i < PyTuple_GET_SIZE(level); i++) {
        PyObject *item = PyTuple_GET_ITEM(level, i);
        if (i % HN_LATE_EVERY == HN_LATE_EVERY - 1 && hn_encoder_is_late(encoder)) {
            rc = -1;
            break;
        }
        *has_null |= item == Py_None;
        rc = ndim == 1 ? hn_write_value(encoder, type->related, item, out)
                       : write_level(encoder, type, item, sizes + 1, ndim - 1, has_null, out);
    }
    Py_DECREF(level);
    return rc;
}

int hn_as_array(PyObject *value, PyObject **sequence)
{
    *sequence = NULL;
    if (PyList_Check(value) || PyTuple_Check(value))
        *sequence = Py_NewRef(value);
    else if (PyAnySet_Check(value))
        *sequence = PySequence_Tuple(value);
    else
        return PyUnicode_Check(value) ? HN_AS_TEXT : HN_NO_FIT;
    return *sequence == NULL ? -1 : HN_WRITTEN;
}

static int write_array(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    hn_shape shape;
    if (hn_measure_array(type, value, &shape) < 0)
        return -1;
    size_t header = out->len, room = 12 + 8 * (size_t)shape.ndim;
    if (hn_buf_reserve(out, room) < 0)
        return -1;
    out->len += room;
    int has_null = 0;
    if (shape.ndim > 0) {
        int rc = write_level(encoder, type, value, shape.sizes, shape.ndim, &has_null, out);
        if (rc != HN_WRITTEN)
            return rc;
    }
    uint8_t *h = out->data + header;
    hn_put_u32(h, (uint32_t)shape.ndim);
    hn_put_u32(h + 4, (uint32_t)has_null);
    hn_put_u32(h + 8, type->related_oid);
    for (size_t i = 0; i < (size_t)shape.ndim; i++) {
        hn_put_u32(h + 12 + 8 * i, (uint32_t)shape.sizes[i]);
        hn_put_u32(h + 16 + 8 * i, type->family == HN_FAMILY_VECTOR ? 0 : 1);
    }
    return HN_WRITTEN;
}

int hn_write_array(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    PyObject *sequence;
    int rc = hn_as_array(value, &sequence);
    if (rc != HN_WRITTEN)
        return rc;
    /* The server requires a vector to have one dimension, even an empty one. */
    int is_empty = PySequence_Fast_GET_SIZE(sequence) == 0;
    if (!type->sends_binary || (type->family == HN_FAMILY_VECTOR && is_empty))
        rc = HN_AS_TEXT;
    else
        rc = write_array(encoder, type, sequence, out);
    Py_DECREF(sequence);
    return rc;
}
