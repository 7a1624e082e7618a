/* SQL that is more than a str with $1, $2, ...: what hypern.sql makes of it, and what that asks the
 * core. */
#include "api/text.h"

#include "buf.h"
#include "core/core.h"
#include "error.h"

/* A function of hypern.sql, imported with the first call and never dropped. */
static PyObject *resolver(const char *name)
{
    static PyObject *module;
    if (module == NULL)
        module = PyImport_ImportModule("hypern.sql._resolve");
    return module == NULL ? NULL : PyObject_GetAttrString(module, name);
}

static PyObject *resolve(const char *name, PyObject *sql, PyObject *params)
{
    PyObject *function = resolver(name);
    if (function == NULL)
        return NULL;
    PyObject *args[] = {sql, params == NULL ? Py_None : params};
    PyObject *pair = PyObject_Vectorcall(function, args, 2, NULL);
    Py_DECREF(function);
    if (pair != NULL && (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2)) {
        Py_DECREF(pair);
        return PyErr_Format(PyExc_SystemError, "%s() must return a pair", name);
    }
    return pair;
}

PyObject *hn_text_resolve(PyObject *sql, PyObject *params)
{
    return resolve("statement", sql, params);
}

PyObject *hn_text_resolve_many(PyObject *sql, PyObject *params_list)
{
    if (PyUnicode_Check(sql)) {
        if (PyUnicode_FindChar(sql, ':', 0, PyUnicode_GET_LENGTH(sql), 1) < 0)
            return NULL; /* there is no :name */
    }
    return resolve("many", sql, params_list);
}

PyObject *hn_text_resolve_script(PyObject *sql)
{
    if (PyUnicode_Check(sql))
        return Py_NewRef(sql);
    PyObject *function = resolver("script");
    PyObject *text = function == NULL ? NULL : PyObject_CallOneArg(function, sql);
    Py_XDECREF(function);
    return text;
}

/* read_sql(what, text): the core's JSON about a text. */
static PyObject *read_sql(PyObject *module, PyObject *args)
{
    (void)module;
    int what;
    const char *text;
    Py_ssize_t len;
    if (!PyArg_ParseTuple(args, "is#:read_sql", &what, &text, &len) || hn_core_load() < 0)
        return NULL;
    hn_buf out = {NULL, 0, 0};
    PyObject *json = NULL;
    if (hn_go.hypern_sql(what, text, len, &out) < 0)
        hn_raise_core(out.data, out.len);
    else
        json = PyBytes_FromStringAndSize((const char *)out.data, (Py_ssize_t)out.len);
    hn_buf_free(&out);
    return json;
}

PyMethodDef hn_text_methods[] = {
    {"read_sql", read_sql, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
