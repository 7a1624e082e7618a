/* The codec alone as Python functions, for tests and fuzzing: built-in types, no server. */
#include "api/codec.h"

#include "values/description.h"

/* The description that the core would hand over: both parts, no time zone. NULL on failure. */
static hn_description *make_description(const hn_buf *parameters, const uint8_t *columns,
                                        size_t ncolumns)
{
    hn_codec *codec = hn_codec_new(NULL, NULL, 0);
    if (codec == NULL)
        return NULL;
    hn_buf out = {0};
    uint32_t lengths[2] = {(uint32_t)parameters->len, (uint32_t)ncolumns};
    hn_description *description = NULL;
    if (hn_buf_bytes(&out, &lengths[0], 4) == 0 &&
        hn_buf_bytes(&out, parameters->data, parameters->len) == 0 &&
        hn_buf_bytes(&out, &lengths[1], 4) == 0 && hn_buf_bytes(&out, columns, ncolumns) == 0)
        description = hn_description_new(codec, out.data, out.len, NULL, NULL);
    hn_buf_free(&out);
    /* A type that is not in the table stays the server's text, as it would if the server did not
     * have it either. */
    uint32_t unknown[64];
    size_t n;
    while (description != NULL && (n = hn_description_unknown(description, unknown, 64)) > 0)
        if (hn_codec_add_types(codec, NULL, 0, unknown, n) < 0) {
            hn_description_unref(description);
            description = NULL;
        }
    hn_codec_free(codec); /* the description keeps it */
    if (description != NULL && hn_description_resolve(description) < 0) {
        hn_description_unref(description);
        description = NULL;
    }
    return description;
}

static hn_description *description_for_oids(PyObject *oids)
{
    hn_buf parameters = {0};
    hn_description *description = NULL;
    Py_ssize_t n = PyList_GET_SIZE(oids);
    if (n > UINT16_MAX) {
        PyErr_SetString(PyExc_ValueError, "too many OIDs");
        return NULL;
    }
    int rc = hn_buf_u16(&parameters, (uint16_t)n);
    for (Py_ssize_t i = 0; rc == 0 && i < n; i++) {
        unsigned long oid = PyLong_AsUnsignedLong(PyList_GET_ITEM(oids, i));
        if (oid == (unsigned long)-1 && PyErr_Occurred())
            rc = -1;
        else
            rc = hn_buf_u32(&parameters, (uint32_t)oid);
    }
    if (rc == 0)
        description = make_description(&parameters, NULL, 0);
    hn_buf_free(&parameters);
    return description;
}

/* A ValueError with the types that the values need declared. */
static void raise_declared(const hn_description *description, PyObject *params)
{
    hn_declared declared = {0};
    PyObject *list = NULL;
    if (hn_declared_types(description, params, &declared) >= 0)
        list = PyList_New((Py_ssize_t)declared.n);
    for (size_t i = 0; list != NULL && i < declared.n; i++) {
        PyObject *oid = PyLong_FromUnsignedLong(declared.oids[i]);
        if (oid == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, oid);
    }
    if (list != NULL)
        PyErr_Format(PyExc_ValueError, "types to be declared: %R", list);
    Py_XDECREF(list);
    hn_declared_free(&declared);
}

static PyObject *encode_body(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *oids, *params;
    if (!PyArg_ParseTuple(args, "O!O", &PyList_Type, &oids, &params) ||
        hn_check_params(params, -1) < 0)
        return NULL;
    hn_description *description = description_for_oids(oids);
    if (description == NULL)
        return NULL;
    hn_buf body = {0};
    PyObject *bytes = NULL;
    int rc = hn_encode(description, params, NULL, -1, HN_NEVER, &body);
    if (rc == 0)
        bytes = PyBytes_FromStringAndSize((const char *)body.data, (Py_ssize_t)body.len);
    else if (rc == HN_NEED_TZ)
        PyErr_SetString(PyExc_ValueError, "the session's time zone is needed");
    else if (rc == HN_NEED_DECLARED)
        raise_declared(description, params);
    hn_buf_free(&body);
    hn_description_unref(description);
    return bytes;
}

static PyObject *decode_row(PyObject *module, PyObject *args)
{
    (void)module;
    Py_buffer columns, row;
    if (!PyArg_ParseTuple(args, "y*y*", &columns, &row))
        return NULL;
    PyObject *value = NULL;
    hn_description *description = make_description(&(hn_buf){0}, columns.buf, (size_t)columns.len);
    if (description != NULL)
        value = hn_decode_row(description, row.buf, (size_t)row.len);
    hn_description_unref(description);
    PyBuffer_Release(&columns);
    PyBuffer_Release(&row);
    return value;
}

static PyObject *types(PyObject *module, PyObject *none)
{
    (void)module, (void)none;
    return hn_builtin_types();
}

PyMethodDef hn_codec_methods[] = {
    {"encode_body", encode_body, METH_VARARGS, NULL},
    {"decode_row", decode_row, METH_VARARGS, NULL},
    {"types", types, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
