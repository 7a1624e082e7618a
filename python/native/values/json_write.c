/* Python values into JSON text, as json.dumps writes them but for two things: what JSON cannot hold
 * (NaN) is refused, and enums and dataclasses are written as their values and fields. */
#include "values/json_text.h"

#include <math.h>

#include "error.h"
#include "values/python_types.h"

/* As deep as json.dumps goes by default. */
enum { MAX_DEPTH = 1000 };

typedef struct {
    const hn_type *type;
    hn_buf *out;
    int depth;
} writer;

static int write_any(writer *w, PyObject *value);

/* 0 if the character is written as it is, else the letter behind a backslash, 'u' for \u00XX. */
static inline char escape_of(uint8_t c)
{
    switch (c) {
    case '"':
        return '"';
    case '\\':
        return '\\';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    default:
        return c < 0x20 ? 'u' : 0;
    }
}

static int write_escaped(writer *w, const uint8_t *text, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    if (hn_buf_reserve(w->out, 6 * len + 2) < 0)
        return -1;
    uint8_t *at = w->out->data + w->out->len;
    *at++ = '"';
    for (size_t i = 0; i < len; i++) {
        char escape = escape_of(text[i]);
        if (escape == 0) {
            *at++ = text[i];
            continue;
        }
        *at++ = '\\';
        *at++ = (uint8_t)escape;
        if (escape == 'u') {
            at[0] = at[1] = '0';
            at[2] = (uint8_t)hex[text[i] >> 4];
            at[3] = (uint8_t)hex[text[i] & 15];
            at += 4;
        }
    }
    *at++ = '"';
    w->out->len = (size_t)(at - w->out->data);
    return 0;
}

/* A surrogate has no UTF-8, only an escape: json keeps it, and the server refuses it for jsonb. */
static int write_surrogates(writer *w, PyObject *value)
{
    PyObject *module = PyImport_ImportModule("json");
    PyObject *text = module == NULL ? NULL : PyObject_CallMethod(module, "dumps", "O", value);
    Py_XDECREF(module);
    int returned = text == NULL ? -1 : hn_write_str(w->type, text, w->out);
    Py_XDECREF(text);
    return returned;
}

static int write_str(writer *w, PyObject *value)
{
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(value, &len);
    if (text != NULL)
        return write_escaped(w, (const uint8_t *)text, (size_t)len);
    if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
        return -1;
    PyErr_Clear();
    return write_surrogates(w, value);
}

/* The ASCII of a number that JSON can hold. New reference, or NULL. */
static PyObject *number_text(writer *w, PyObject *value)
{
    if (PyFloat_Check(value) && !isfinite(PyFloat_AS_DOUBLE(value))) {
        hn_unfit(w->type, value, "JSON has neither NaN nor infinities");
        return NULL;
    }
    return hn_number_digits(w->type, value);
}

static int write_number(writer *w, PyObject *value)
{
    PyObject *text = number_text(w, value);
    int returned = text == NULL ? -1 : hn_write_str(w->type, text, w->out);
    Py_XDECREF(text);
    return returned;
}

/* Keys as json.dumps takes them. */
static int write_key(writer *w, PyObject *key)
{
    if (PyUnicode_Check(key))
        return write_str(w, key);
    if (key == Py_None)
        return hn_buf_bytes(w->out, "\"null\"", 6);
    if (PyBool_Check(key))
        return key == Py_True ? hn_buf_bytes(w->out, "\"true\"", 6)
                              : hn_buf_bytes(w->out, "\"false\"", 7);
    if (PyLong_Check(key) || PyFloat_Check(key)) {
        if (hn_buf_u8(w->out, '"') < 0 || write_number(w, key) < 0)
            return -1;
        return hn_buf_u8(w->out, '"');
    }
    PyErr_Format(PyExc_TypeError, "a key of JSON must be str, int, float, bool or None, not %.100s",
                 Py_TYPE(key)->tp_name);
    return -1;
}

static int write_dict(writer *w, PyObject *dict)
{
    /* Items are copied: writing one may run the code of an enum or a dataclass. */
    PyObject *items = PyDict_Items(dict);
    if (items == NULL)
        return -1;
    int returned = hn_buf_u8(w->out, '{');
    for (Py_ssize_t i = 0; returned == 0 && i < PyList_GET_SIZE(items); i++) {
        PyObject *pair = PyList_GET_ITEM(items, i);
        if ((i > 0 && hn_buf_u8(w->out, ',') < 0) || write_key(w, PyTuple_GET_ITEM(pair, 0)) < 0 ||
            hn_buf_u8(w->out, ':') < 0 || write_any(w, PyTuple_GET_ITEM(pair, 1)) < 0)
            returned = -1;
    }
    Py_DECREF(items);
    return returned < 0 ? -1 : hn_buf_u8(w->out, '}');
}

static int write_list(writer *w, PyObject *value)
{
    PyObject *items = PySequence_Tuple(value);
    if (items == NULL)
        return -1;
    int returned = hn_buf_u8(w->out, '[');
    for (Py_ssize_t i = 0; returned == 0 && i < PyTuple_GET_SIZE(items); i++)
        if ((i > 0 && hn_buf_u8(w->out, ',') < 0) || write_any(w, PyTuple_GET_ITEM(items, i)) < 0)
            returned = -1;
    Py_DECREF(items);
    return returned < 0 ? -1 : hn_buf_u8(w->out, ']');
}

static int write_dataclass(writer *w, PyObject *value)
{
    PyObject *fields = PyObject_CallOneArg(hn_python.dataclass_fields, value);
    if (fields == NULL)
        return -1;
    int returned = PyTuple_Check(fields) ? hn_buf_u8(w->out, '{') : -1;
    for (Py_ssize_t i = 0; returned == 0 && i < PyTuple_GET_SIZE(fields); i++) {
        PyObject *name = PyObject_GetAttrString(PyTuple_GET_ITEM(fields, i), "name");
        PyObject *item = name == NULL ? NULL : PyObject_GetAttr(value, name);
        if (item == NULL || (i > 0 && hn_buf_u8(w->out, ',') < 0) || write_key(w, name) < 0 ||
            hn_buf_u8(w->out, ':') < 0 || write_any(w, item) < 0)
            returned = -1;
        Py_XDECREF(item);
        Py_XDECREF(name);
    }
    Py_DECREF(fields);
    return returned < 0 ? -1 : hn_buf_u8(w->out, '}');
}

static int is_dataclass_instance(PyObject *value)
{
    if (PyType_Check(value))
        return 0;
    PyObject *returned = PyObject_CallOneArg(hn_python.is_dataclass, value);
    if (returned == NULL)
        return -1;
    Py_DECREF(returned);
    return returned == Py_True;
}

/* Enums and dataclasses; HN_NO_FIT for anything else. */
static int write_other(writer *w, PyObject *value)
{
    PyObject *plainer = hn_plainer(value);
    if (plainer != NULL) {
        int returned = write_any(w, plainer);
        Py_DECREF(plainer);
        return returned;
    }
    if (PyErr_Occurred())
        return -1;
    int is_dataclass = is_dataclass_instance(value);
    if (is_dataclass > 0)
        return write_dataclass(w, value);
    return is_dataclass < 0 ? -1 : HN_NO_FIT;
}

static int write_nested(writer *w, PyObject *value)
{
    if (++w->depth > MAX_DEPTH) {
        PyErr_Format(PyExc_TypeError, "the value is nested more than %d deep", MAX_DEPTH);
        return -1;
    }
    int returned;
    if (PyDict_Check(value))
        returned = write_dict(w, value);
    else if (PyList_Check(value) || PyTuple_Check(value))
        returned = write_list(w, value);
    else
        returned = write_other(w, value);
    w->depth--;
    if (returned == HN_NO_FIT && w->depth > 0) {
        PyErr_Format(PyExc_TypeError,
                     "Python type %.100s within the value has no place in PostgreSQL type %U",
                     Py_TYPE(value)->tp_name, w->type->name);
        return -1;
    }
    return returned;
}

static int write_any(writer *w, PyObject *value)
{
    if (PyUnicode_Check(value))
        return write_str(w, value);
    if (value == Py_None)
        return hn_buf_bytes(w->out, "null", 4);
    if (PyBool_Check(value))
        return value == Py_True ? hn_buf_bytes(w->out, "true", 4)
                                : hn_buf_bytes(w->out, "false", 5);
    if (PyLong_Check(value) || PyFloat_Check(value))
        return write_number(w, value);
    return write_nested(w, value);
}

int hn_json_write(const hn_type *type, PyObject *value, hn_buf *out)
{
    writer w = {type, out, 0};
    return write_any(&w, value);
}
