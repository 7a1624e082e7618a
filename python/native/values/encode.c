/* Parameters into the body of a Bind message. */
#include "values/description.h"

#include <stdbool.h>

#include "error.h"
#include "values/python_types.h"

/* Values within values beyond this depth are refused: a list may contain itself. */
enum { MAX_DEPTH = 200 };

/* Longer ones take the path that checks the size of the whole after each value. */
enum { COMMON_MAX = 1 << 20 };

/* Adds the parameter to one of the codec's own errors. Always -1. */
static int name_parameter(Py_ssize_t row, uint16_t index)
{
    PyObject *raised = hn_exception_take();
    PyObject *where = row < 0 ? PyUnicode_FromFormat("parameter $%d", index + 1)
                              : PyUnicode_FromFormat("row %zd, parameter $%d", row, index + 1);
    hn_raise_with_place(raised, where, row);
    return -1;
}

static int refuse(const hn_type *type, PyObject *value)
{
    PyErr_Format(PyExc_TypeError, "Python type %.100s cannot be sent as PostgreSQL type %U",
                 Py_TYPE(value)->tp_name, type->name);
    return -1;
}

/* Calls type->write, and again with the value of an enum if the enum itself does not fit. */
static int write_plain(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    size_t start = out->len;
    int rc = type->write(encoder, type, value, out);
    if (rc != HN_NO_FIT)
        return rc;
    out->len = start;
    PyObject *plainer = hn_plainer(value);
    if (plainer == NULL)
        return PyErr_Occurred() ? -1 : refuse(type, value);
    rc = type->write(encoder, type, plainer, out);
    if (rc == HN_NO_FIT)
        rc = refuse(type, value);
    Py_DECREF(plainer);
    return rc;
}

static int write_dumped(const hn_type *type, PyObject *value, hn_buf *out)
{
    PyObject *text = PyObject_CallOneArg(type->dumps, value);
    if (text == NULL)
        return -1;
    int rc = -1;
    if (PyUnicode_Check(text))
        rc = hn_write_str(type, text, out);
    else
        PyErr_Format(PyExc_TypeError, "the converter registered for %U must return str, not %.100s",
                     type->name, Py_TYPE(text)->tp_name);
    Py_DECREF(text);
    return rc;
}

static int write_text(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    if (type->dumps != NULL)
        return write_dumped(type, value, out);
    if (PyUnicode_Check(value))
        return hn_write_str(type, value, out);
    size_t start = out->len;
    /* A value that the binary writer refuses must not be accepted as text. */
    int rc = type->write(encoder, type, value, out);
    out->len = start;
    if (rc == HN_WRITTEN || rc == HN_AS_TEXT)
        return type->write_text(encoder, type, value, out);
    if (rc != HN_NO_FIT)
        return rc;
    PyObject *plainer = hn_plainer(value);
    if (plainer == NULL)
        return PyErr_Occurred() ? -1 : refuse(type, value);
    rc = hn_write_text(encoder, type, plainer, out);
    Py_DECREF(plainer);
    return rc;
}

static int too_deep(void)
{
    PyErr_Format(PyExc_TypeError, "the value is nested more than %d deep", MAX_DEPTH);
    return -1;
}

int hn_write_text(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    if (++encoder->depth > MAX_DEPTH)
        return too_deep();
    int rc = write_text(encoder, type, value, out);
    encoder->depth--;
    return rc;
}

int hn_write_value(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    if (value == Py_None)
        return hn_buf_u32(out, UINT32_MAX);
    Py_ssize_t at = hn_buf_open32(out);
    if (at < 0)
        return -1;
    if (++encoder->depth > MAX_DEPTH)
        return too_deep();
    int rc = write_plain(encoder, type, value, out);
    encoder->depth--;
    return rc == HN_WRITTEN ? hn_buf_close32(out, at) : rc;
}

/* The formats of one body's parameters: one for all of them, until a value needs text. */
typedef struct formats {
    size_t at; /* of their number */
    uint16_t nparams;
    bool is_spelled_out;
} formats;

/* Marks the parameter as text. What follows the formats may move. */
static int mark_text(formats *f, uint16_t index, hn_buf *body)
{
    if (!f->is_spelled_out) {
        size_t values = f->at + 4, more = 2 * (f->nparams - (size_t)1);
        if (hn_buf_reserve(body, more) < 0)
            return -1;
        memmove(body->data + values + more, body->data + values, body->len - values);
        body->len += more;
        hn_put_u16(body->data + f->at, f->nparams);
        for (size_t i = 1; i < f->nparams; i++)
            hn_put_u16(body->data + f->at + 2 + 2 * i, 1);
        f->is_spelled_out = true;
    }
    hn_put_u16(body->data + f->at + 2 + 2 * (size_t)index, 0);
    return 0;
}

/* One parameter: binary, or text where the server must parse. */
static int write_parameter(hn_encoder *encoder, const hn_type *type, PyObject *value, formats *f,
                           uint16_t index, hn_buf *body)
{
    size_t start = body->len;
    int rc = hn_write_value(encoder, type, value, body);
    if (value == Py_None && !type->sends_binary && rc == HN_WRITTEN)
        return mark_text(f, index, body); /* NULL too needs an input function of its format */
    if (rc != HN_AS_TEXT)
        return rc;
    body->len = start;
    if (mark_text(f, index, body) < 0)
        return -1;
    Py_ssize_t at = hn_buf_open32(body);
    if (at < 0)
        return -1;
    encoder->depth = 0;
    rc = hn_write_text(encoder, type, value, body);
    return rc == HN_WRITTEN ? hn_buf_close32(body, at) : rc;
}

/* Add the row to the exception that is set, to its text and as `row`. Always -1. */
static int name_row(Py_ssize_t row)
{
    if (row >= 0)
        hn_raise_with_place(hn_exception_take(), PyUnicode_FromFormat("row %zd", row), row);
    return -1;
}

static int too_many(Py_ssize_t given)
{
    return hn_raise("ProgrammingError", "%zd parameters given; a statement takes %d at most", given,
                    UINT16_MAX);
}

static int wrong_count(const hn_description *description, Py_ssize_t given, Py_ssize_t row)
{
    if (given > UINT16_MAX)
        too_many(given);
    else
        hn_raise("ProgrammingError", "the statement has %d placeholder%s, %zd parameter%s given",
                 description->nparams, description->nparams == 1 ? "" : "s", given,
                 given == 1 ? " was" : "s were");
    return name_row(row);
}

static int too_long(void)
{
    return hn_raise("ProgrammingError", "the parameters take more than 1 GiB, which is more than "
                                        "PostgreSQL takes at once");
}

/* Does what the writer of the type would do for the commonest values, in one step with the length:
 * a row of int, text and float8 takes half as long. False: the writer has to do it, errors
 * included. */
static bool write_common(const hn_type *type, PyObject *value, hn_buf *body)
{
    if (PyUnicode_CheckExact(value)) {
        if (type->write != hn_write_text_type || !PyUnicode_IS_COMPACT_ASCII(value))
            return false;
        const void *text = PyUnicode_1BYTE_DATA(value);
        size_t len = (size_t)PyUnicode_GET_LENGTH(value);
        if (len > COMMON_MAX || memchr(text, 0, len) != NULL || hn_buf_grow(body, 4 + len) < 0)
            return false;
        hn_put_u32(body->data + body->len, (uint32_t)len);
        memcpy(body->data + body->len + 4, text, len);
        body->len += 4 + len;
        return true;
    }
    if (PyLong_CheckExact(value)) {
        int is_beyond = 1;
        long n = 0;
        if (type->write == hn_write_int4)
            n = PyLong_AsLongAndOverflow(value, &is_beyond);
        if (is_beyond || n < INT32_MIN || n > INT32_MAX || hn_buf_grow(body, 8) < 0)
            return false;
        hn_put_u32(body->data + body->len, 4);
        hn_put_u32(body->data + body->len + 4, (uint32_t)n);
        body->len += 8;
        return true;
    }
    if (!PyFloat_CheckExact(value) || type->write != hn_write_float8 || hn_buf_grow(body, 12) < 0)
        return false;
    double d = PyFloat_AS_DOUBLE(value);
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    hn_put_u32(body->data + body->len, 8);
    hn_put_u64(body->data + body->len + 4, bits);
    body->len += 12;
    return true;
}

static int write_parameters(const hn_description *description, hn_encoder *encoder,
                            PyObject *const *values, Py_ssize_t row, hn_buf *body)
{
    formats f = {.at = body->len, .nparams = description->nparams};
    if (hn_buf_bytes(body, description->parameter_formats.data,
                     description->parameter_formats.len) < 0)
        return -1;
    for (uint16_t i = 0; i < description->nparams; i++) {
        const hn_type *type = description->params[i].type;
        if (write_common(type, values[i], body))
            continue;
        if (description->params[i].is_open) {
            uint32_t own = 0; /* as in SQL, NULL has no type by itself */
            if (values[i] != Py_None && hn_own_type(values[i], &own) < 0)
                return name_parameter(row, i);
            if (own != description->params[i].declared)
                return HN_NEED_DECLARED;
        }
        int rc = write_parameter(encoder, type, values[i], &f, i, body);
        if (rc == HN_WRITTEN && body->len - f.at > HN_TEXT_MAX)
            rc = too_long();
        if (rc < 0)
            return name_parameter(row, i);
        if (rc != HN_WRITTEN)
            return rc;
    }
    if (body->len - f.at > HN_TEXT_MAX)
        return too_long();
    return hn_buf_bytes(body, description->result_formats.data, description->result_formats.len);
}

int hn_encode(hn_description *description, PyObject *params, PyObject *timezone, Py_ssize_t row,
              hn_time until, hn_buf *body)
{
    PyObject *sequence = NULL, **values = NULL;
    Py_ssize_t given = 0;
    if (params != NULL && params != Py_None) {
        /* Copies anything but a tuple, since a user's converter may change a list while it is
         * encoded. */
        sequence = PySequence_Tuple(params);
        if (sequence == NULL)
            return -1;
        given = PyTuple_GET_SIZE(sequence);
        values = ((PyTupleObject *)sequence)->ob_item;
    }
    size_t start = body->len;
    int rc;
    if (given != description->nparams) {
        rc = wrong_count(description, given, row);
    } else {
        hn_encoder encoder = {.timezone = timezone, .until = until};
        rc = write_parameters(description, &encoder, values, row, body);
    }
    if (rc != 0)
        body->len = start;
    Py_XDECREF(sequence);
    return rc;
}

/* Adds the row and the column to the exception that is set. Always -1. */
static int name_place(Py_ssize_t row, PyObject *column)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    hn_raise_with_place(hn_exception_take(),
                        PyUnicode_FromFormat("row %zd, column \"%U\"", row, column), row);
    PyObject *raised = hn_exception_take();
    if (PyObject_SetAttrString(raised, "column", column) < 0)
        PyErr_Clear(); /* one without attributes */
    hn_exception_raise(raised);
    return -1;
}

/* A value that the server would have to parse. */
static int write_parsed(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *body)
{
    Py_ssize_t at = hn_buf_open32(body);
    if (at < 0)
        return -1;
    int rc = PyUnicode_Check(value) ? hn_write_exact(encoder, type, value, body) : HN_NO_FIT;
    if (rc == HN_WRITTEN)
        return hn_buf_close32(body, at);
    if (rc < 0)
        return -1;
    return hn_raise("DataError",
                    "only the server can convert this %.100s to PostgreSQL type %U, which it does "
                    "not for a binary COPY; use execute_many() or copy_in_raw()",
                    Py_TYPE(value)->tp_name, type->name);
}

static int write_copied(const hn_description *description, hn_encoder *encoder,
                        PyObject *const *values, PyObject *columns, Py_ssize_t row, hn_buf *body)
{
    size_t start = body->len;
    if (hn_buf_u16(body, description->nparams) < 0)
        return -1;
    for (uint16_t i = 0; i < description->nparams; i++) {
        const hn_type *type = description->params[i].type;
        if (write_common(type, values[i], body))
            continue;
        size_t at = body->len;
        encoder->depth = 0;
        uint32_t own = 0;
        if (description->params[i].is_open && values[i] != Py_None &&
            hn_own_type(values[i], &own) < 0)
            return name_place(row, PyTuple_GET_ITEM(columns, i));
        /* A value that is no str is text by a cast of the server's. */
        int rc = own != 0 ? HN_AS_TEXT : hn_write_value(encoder, type, values[i], body);
        if (rc == HN_AS_TEXT) {
            body->len = at;
            rc = write_parsed(encoder, type, values[i], body);
        }
        if (rc == HN_WRITTEN && body->len - start > HN_TEXT_MAX)
            rc = too_long();
        if (rc < 0)
            return name_place(row, PyTuple_GET_ITEM(columns, i));
        if (rc != HN_WRITTEN)
            return rc;
    }
    return 0;
}

int hn_encode_copied(const hn_description *description, PyObject *row, PyObject *columns,
                     PyObject *timezone, Py_ssize_t number, hn_time until, hn_buf *body)
{
    if (hn_check_params(row, number) < 0)
        return -1;
    PyObject *values = PySequence_Tuple(row);
    if (values == NULL)
        return -1;
    Py_ssize_t given = PyTuple_GET_SIZE(values);
    int rc;
    if (given != description->nparams || given != PyTuple_GET_SIZE(columns)) {
        hn_raise("ProgrammingError", "%zd columns are copied, and the row has %zd value%s",
                 PyTuple_GET_SIZE(columns), given, given == 1 ? "" : "s");
        rc = name_row(number);
    } else {
        hn_encoder encoder = {.timezone = timezone, .until = until};
        rc = write_copied(description, &encoder, ((PyTupleObject *)values)->ob_item, columns,
                          number, body);
    }
    Py_DECREF(values);
    return rc;
}

int hn_check_params(PyObject *params, Py_ssize_t row)
{
    if (params == NULL || params == Py_None)
        return 0;
    if (PyList_Check(params) || PyTuple_Check(params)) {
        /* Checked here, not against the description: the protocol counts in 16 bits, which would
         * wrap. */
        Py_ssize_t given = PySequence_Fast_GET_SIZE(params);
        if (given <= UINT16_MAX)
            return 0;
        too_many(given);
        return name_row(row);
    }
    int refused = PyUnicode_Check(params) || PyBytes_Check(params) || PyByteArray_Check(params) ||
                  PyMemoryView_Check(params) || PyDict_Check(params) || PyAnySet_Check(params) ||
                  !PySequence_Check(params);
    if (!refused)
        return 0;
    hn_raise("ParameterTypeError",
             "params must be a sequence such as a list or a tuple, one value per placeholder, "
             "not %.100s",
             Py_TYPE(params)->tp_name);
    return name_row(row);
}
