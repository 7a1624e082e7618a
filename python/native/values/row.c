/* DataRow messages into rows of every shape: the loop every value passes through. */
#include "values/description.h"

#include <string.h>

#include "error.h"
#include "values/maker.h"
#include "values/text.h"

/* Adds the column to one of the codec's own errors. Always NULL. */
static PyObject *name_column(const hn_column *column)
{
    PyObject *raised = hn_exception_take();
    PyObject *where = PyUnicode_FromFormat("column \"%U\"", column->name);
    hn_raise_with_place(raised, where, -1);
    return NULL;
}

static PyObject *wrong_shape(const char *why)
{
    hn_raise("DataError", "the server sent a row that does not fit its description: %s", why);
    return NULL;
}

/* The commonest types here, in the loop's own frame: a call through a pointer costs as much as
 * making a small int. */
static inline PyObject *read_cell(const hn_column *column, const uint8_t *data, size_t len)
{
    switch (column->family) {
    case HN_FAMILY_INT4:
        if (len == 4)
            return PyLong_FromLong((int32_t)hn_get_u32(data));
        break;
    case HN_FAMILY_TEXT:
        return hn_str_from_utf8(column->type, data, len);
    case HN_FAMILY_INT8:
        if (len == 8)
            return PyLong_FromLongLong((int64_t)hn_get_u64(data));
        break;
    case HN_FAMILY_BOOL:
        if (len == 1)
            return Py_NewRef(data[0] ? Py_True : Py_False);
        break;
    case HN_FAMILY_FLOAT8:
        if (len == 8) {
            uint64_t bits = hn_get_u64(data);
            double value;
            memcpy(&value, &bits, sizeof value);
            return PyFloat_FromDouble(value);
        }
        break;
    default:
        break;
    }
    return column->read(column->type, data, len);
}

/* What is left of a row. */
typedef struct cells {
    const uint8_t *at, *end;
} cells;

static int begin_row(const hn_description *description, const uint8_t *body, size_t len, cells *c)
{
    if (len < 2 || hn_get_u16(body) != description->ncolumns) {
        wrong_shape("the number of fields differs");
        return -1;
    }
    *c = (cells){body + 2, body + len};
    return 0;
}

/* The column's value, a new reference; NULL without an exception if the server sent NULL. */
static inline PyObject *next_cell(const hn_column *column, cells *c)
{
    if (c->end - c->at < 4)
        return wrong_shape("it is cut short");
    int32_t size = (int32_t)hn_get_u32(c->at);
    c->at += 4;
    if (size < 0)
        return size == -1 ? NULL : wrong_shape("a field's length is negative");
    if (size > c->end - c->at)
        return wrong_shape("a field is longer than what is left of it");
    PyObject *value = read_cell(column, c->at, (size_t)size);
    c->at += size;
    return value == NULL ? name_column(column) : value;
}

/* A new reference to the row if it has ended; steals it. */
static PyObject *end_row(const cells *c, PyObject *row)
{
    if (c->at == c->end)
        return row;
    Py_DECREF(row);
    return wrong_shape("it is longer than its fields");
}

/* A reference to the value is taken over. */
static PyObject *convert(PyObject *converter, PyObject *value)
{
    PyObject *converted = PyObject_CallOneArg(converter, value);
    Py_DECREF(value);
    return converted;
}

static inline PyObject *decode_dict(const hn_description *description, PyObject *const *converters,
                                    const uint8_t *body, size_t len)
{
    cells c;
    if (begin_row(description, body, len, &c) < 0)
        return NULL;
    PyObject *row = PyDict_Copy(description->empty_row);
    if (row == NULL)
        return NULL;
    for (uint16_t i = 0; i < description->ncolumns; i++) {
        const hn_column *column = &description->columns[i];
        PyObject *value = next_cell(column, &c);
        if (value == NULL) {
            if (PyErr_Occurred())
                goto failed;
            if (!description->has_duplicates)
                continue; /* the copy has None already */
            value = Py_NewRef(Py_None);
        } else if (converters != NULL && converters[i] != NULL) {
            value = convert(converters[i], value);
            if (value == NULL)
                goto failed;
        }
        int set = PyDict_SetItem(row, column->name, value);
        Py_DECREF(value);
        if (set < 0)
            goto failed;
    }
    return end_row(&c, row);
failed:
    Py_DECREF(row);
    return NULL;
}

PyObject *hn_decode_row(hn_description *description, const uint8_t *body, size_t len)
{
    return decode_dict(description, NULL, body, len);
}

PyObject *hn_decode_tuple(hn_description *description, const uint8_t *body, size_t len)
{
    cells c;
    if (begin_row(description, body, len, &c) < 0)
        return NULL;
    PyObject *row = PyTuple_New(description->ncolumns);
    if (row == NULL)
        return NULL;
    bool holds_containers = false;
    for (uint16_t i = 0; i < description->ncolumns; i++) {
        PyObject *value = next_cell(&description->columns[i], &c);
        if (value == NULL && PyErr_Occurred()) {
            Py_DECREF(row);
            return NULL;
        }
        holds_containers = holds_containers || (value != NULL && PyObject_IS_GC(value));
        PyTuple_SET_ITEM(row, i, value == NULL ? Py_NewRef(Py_None) : value);
    }
    if (!holds_containers && description->ncolumns > 0)
        PyObject_GC_UnTrack(row); /* it can be in no cycle, as the collector would find */
    return end_row(&c, row);
}

/* A row's values, each in its place. 0, or -1 with an exception. */
static int read_values(const hn_description *description, const hn_maker *maker,
                       const uint8_t *body, size_t len, PyObject **values)
{
    cells c;
    if (begin_row(description, body, len, &c) < 0)
        return -1;
    for (uint16_t i = 0; i < description->ncolumns; i++) {
        PyObject *value = next_cell(&description->columns[i], &c);
        if (value == NULL) {
            if (PyErr_Occurred())
                return -1;
            value = Py_NewRef(Py_None);
        } else if (maker->converters[i] != NULL) {
            value = convert(maker->converters[i], value);
            if (value == NULL)
                return -1;
        }
        values[maker->places[i]] = value;
    }
    if (c.at != c.end) {
        wrong_shape("it is longer than its fields");
        return -1;
    }
    return hn_maker_fill(maker, values);
}

static PyObject *decode_values(const hn_description *description, const hn_maker *maker,
                               const uint8_t *body, size_t len)
{
    enum { ON_STACK = 48 };
    PyObject *few[1 + ON_STACK], **room = few;
    size_t size =
        (1 + (size_t)maker->nvalues) * sizeof *room; /* the first is the callee's to use */
    if (maker->nvalues > ON_STACK && (room = PyMem_Malloc(size)) == NULL)
        return PyErr_NoMemory();
    memset(room, 0, size);
    PyObject *made = NULL;
    if (read_values(description, maker, body, len, room + 1) == 0)
        made = hn_maker_make(maker, room + 1);
    for (Py_ssize_t i = 1; i <= maker->nvalues; i++)
        Py_XDECREF(room[i]);
    if (room != few)
        PyMem_Free(room);
    return made;
}

PyObject *hn_decode_made(hn_description *description, PyObject *with, const uint8_t *body,
                         size_t len)
{
    const hn_maker *maker = (const hn_maker *)with;
    if (maker->ncolumns != description->ncolumns)
        return wrong_shape("the number of fields differs");
    if (maker->making != HN_MAKE_DICT && maker->making != HN_MAKE_DOCUMENT)
        return decode_values(description, maker, body, len);
    PyObject *row = decode_dict(description, maker->converters, body, len);
    return row == NULL || maker->making == HN_MAKE_DICT ? row : convert(maker->make, row);
}

PyObject *hn_decode_first(hn_description *description, const uint8_t *body, size_t len)
{
    if (len < 2 || hn_get_u16(body) != description->ncolumns)
        return wrong_shape("the number of fields differs");
    if (description->ncolumns == 0) {
        hn_raise("ProgrammingError", "the statement returns rows without columns");
        return NULL;
    }
    if (len < 6)
        return wrong_shape("it is cut short");
    int32_t size = (int32_t)hn_get_u32(body + 2);
    if (size == -1)
        return Py_NewRef(Py_None);
    if (size < 0 || (size_t)size > len - 6)
        return wrong_shape("a field is longer than what is left of it");
    PyObject *value = read_cell(description->columns, body + 6, (size_t)size);
    return value == NULL ? name_column(description->columns) : value;
}
