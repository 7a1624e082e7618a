/* The codec alone as Python functions, for tests and fuzzing: built-in types, no server. */
#include "values/codec_py.h"

#include "values/plan.h"

/* The description that the core would hand over: both parts, no time zone. NULL on failure. */
static hn_plan *make_plan(const hn_buf *parameters, const uint8_t *columns, size_t ncolumns)
{
    hn_codec *codec = hn_codec_new(NULL, NULL, 0);
    if (codec == NULL)
        return NULL;
    hn_buf out = {0};
    uint32_t lengths[2] = {(uint32_t)parameters->len, (uint32_t)ncolumns};
    hn_plan *plan = NULL;
    if (hn_buf_bytes(&out, &lengths[0], 4) == 0 &&
        hn_buf_bytes(&out, parameters->data, parameters->len) == 0 &&
        hn_buf_bytes(&out, &lengths[1], 4) == 0 && hn_buf_bytes(&out, columns, ncolumns) == 0)
        plan = hn_plan_new(codec, out.data, out.len, NULL, NULL);
    hn_buf_free(&out);
    /* What the table does not know stays the server's text, as it would if the server did not know
     * it either. */
    uint32_t unknown[64];
    size_t n;
    while (plan != NULL && (n = hn_plan_unknown(plan, unknown, 64)) > 0)
        if (hn_codec_add_types(codec, NULL, 0, unknown, n) < 0) {
            hn_plan_unref(plan);
            plan = NULL;
        }
    hn_codec_free(codec); /* the plan keeps it */
    if (plan != NULL && hn_plan_resolve(plan) < 0) {
        hn_plan_unref(plan);
        plan = NULL;
    }
    return plan;
}

static hn_plan *plan_for_oids(PyObject *oids)
{
    hn_buf parameters = {0};
    hn_plan *plan = NULL;
    Py_ssize_t n = PyList_GET_SIZE(oids);
    if (n > UINT16_MAX) {
        PyErr_SetString(PyExc_ValueError, "too many OIDs");
        return NULL;
    }
    int answer = hn_buf_u16(&parameters, (uint16_t)n);
    for (Py_ssize_t i = 0; answer == 0 && i < n; i++) {
        unsigned long oid = PyLong_AsUnsignedLong(PyList_GET_ITEM(oids, i));
        if (oid == (unsigned long)-1 && PyErr_Occurred())
            answer = -1;
        else
            answer = hn_buf_u32(&parameters, (uint32_t)oid);
    }
    if (answer == 0)
        plan = make_plan(&parameters, NULL, 0);
    hn_buf_free(&parameters);
    return plan;
}

/* A ValueError with the types that the values want declared. */
static void raise_declared(const hn_plan *plan, PyObject *params)
{
    hn_declared declared = {0};
    PyObject *list = NULL;
    if (hn_declared_types(plan, params, &declared) >= 0)
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
    hn_plan *plan = plan_for_oids(oids);
    if (plan == NULL)
        return NULL;
    hn_buf body = {0};
    PyObject *bytes = NULL;
    int answer = hn_encode(plan, params, NULL, -1, HN_NEVER, &body);
    if (answer == 0)
        bytes = PyBytes_FromStringAndSize((const char *)body.data, (Py_ssize_t)body.len);
    else if (answer == HN_NEED_TZ)
        PyErr_SetString(PyExc_ValueError, "the session's time zone is needed");
    else if (answer == HN_NEED_DECLARED)
        raise_declared(plan, params);
    hn_buf_free(&body);
    hn_plan_unref(plan);
    return bytes;
}

static PyObject *decode_row(PyObject *module, PyObject *args)
{
    (void)module;
    Py_buffer description, row;
    if (!PyArg_ParseTuple(args, "y*y*", &description, &row))
        return NULL;
    PyObject *value = NULL;
    hn_plan *plan = make_plan(&(hn_buf){0}, description.buf, (size_t)description.len);
    if (plan != NULL)
        value = hn_decode_row(plan, row.buf, (size_t)row.len);
    hn_plan_unref(plan);
    PyBuffer_Release(&description);
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
