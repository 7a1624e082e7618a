/* A description as Python objects: its parameters and columns. */
#define PY_SSIZE_T_CLEAN
#include "values/description.h"

#include <string.h>

/* A class of hypern._result, imported with the first use of one and never dropped; borrowed. */
static PyObject *result_class(const char *name)
{
    static PyObject *module;
    if (module == NULL && (module = PyImport_ImportModule("hypern._result")) == NULL)
        return NULL;
    PyObject *class = PyObject_GetAttrString(module, name);
    Py_XDECREF(class); /* the module holds it */
    return class;
}

static PyObject *column_of(PyObject *class, const hn_column *c, bool with_nulls)
{
    PyObject *nullable = Py_None;
    if (with_nulls && c->nullable != HN_NULLABLE_UNKNOWN)
        nullable = c->nullable == HN_NULLABLE ? Py_True : Py_False;
    return PyObject_CallFunction(class, "OkOiiO", c->name, (unsigned long)c->oid, c->type->name,
                                 (int)c->size, (int)c->modifier, nullable);
}

static PyObject *make_columns(const hn_description *description, bool with_nulls)
{
    PyObject *class = result_class("Column");
    PyObject *columns = class == NULL ? NULL : PyTuple_New(description->ncolumns);
    for (uint16_t i = 0; columns != NULL && i < description->ncolumns; i++) {
        PyObject *column = column_of(class, &description->columns[i], with_nulls);
        if (column == NULL)
            Py_CLEAR(columns);
        else
            PyTuple_SET_ITEM(columns, i, column);
    }
    return columns;
}

PyObject *hn_description_columns(hn_description *description)
{
    if (description->as_columns == NULL)
        description->as_columns = make_columns(description, false);
    return Py_XNewRef(description->as_columns);
}

static PyObject *make_parameters(const hn_description *description)
{
    PyObject *class = result_class("Parameter");
    PyObject *parameters = class == NULL ? NULL : PyTuple_New(description->nparams);
    for (uint16_t i = 0; parameters != NULL && i < description->nparams; i++) {
        const hn_param *p = &description->params[i];
        PyObject *name = PyUnicode_FromFormat("$%d", i + 1);
        PyObject *parameter = NULL;
        if (name != NULL)
            parameter =
                PyObject_CallFunction(class, "NkO", name, (unsigned long)p->oid, p->type->name);
        if (parameter == NULL)
            Py_CLEAR(parameters);
        else
            PyTuple_SET_ITEM(parameters, i, parameter);
    }
    return parameters;
}

PyObject *hn_description_describe(const hn_description *description)
{
    PyObject *class = result_class("Description");
    PyObject *parameters = class == NULL ? NULL : make_parameters(description);
    PyObject *columns = parameters == NULL ? NULL : make_columns(description, true);
    PyObject *described = NULL;
    if (columns != NULL)
        described = PyObject_CallFunctionObjArgs(class, parameters, columns, NULL);
    Py_XDECREF(parameters);
    Py_XDECREF(columns);
    return described;
}

PyObject *hn_description_result(hn_description *description, PyObject *rows, long long count,
                                const char *tag, size_t tag_len)
{
    PyObject *class = result_class("Result");
    PyObject *columns = class == NULL ? NULL : hn_description_columns(description);
    if (columns == NULL)
        return NULL;
    return PyObject_CallFunction(class, "NOLs#", columns, rows, count, tag, (Py_ssize_t)tag_len);
}

void hn_description_set_nulls(hn_description *description, const uint8_t *rows, size_t len)
{
    uint32_t row[3];
    for (size_t n = len / sizeof row; n > 0; n--, rows += sizeof row) {
        memcpy(row, rows, sizeof row); /* host order: the core wrote it */
        for (uint16_t i = 0; i < description->ncolumns; i++) {
            hn_column *column = &description->columns[i];
            if (column->table == row[0] && column->number == row[1])
                column->nullable = row[2] != 0 ? HN_NOT_NULL : HN_NULLABLE;
        }
    }
}
