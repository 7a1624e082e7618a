/* A description's columns beside the fields of a class: what hypern.rows needs to know of them. */
#include "values/description.h"
#include "values/maker.h"
#include "values/row_class.h"

/* Classes of one statement that are kept; a program has one or two. */
enum { MAKERS_MAX = 16 };
/* Composites within composites. */
enum { DEPTH_MAX = 100 };

static PyObject *kind_of(const hn_type *type, int depth);

/* ("row", ((name, kind), ...)) */
static PyObject *kind_of_composite(const hn_type *type, int depth)
{
    PyObject *fields = PyTuple_New(type->nfields);
    for (uint16_t i = 0; fields != NULL && i < type->nfields; i++) {
        PyObject *kind = kind_of(type->fields[i].type, depth + 1), *field = NULL;
        if (kind != NULL)
            field = Py_BuildValue("(ON)", type->fields[i].name, kind);
        if (field == NULL)
            Py_CLEAR(fields);
        else
            PyTuple_SET_ITEM(fields, i, field);
    }
    return fields == NULL ? NULL : Py_BuildValue("(sN)", "row", fields);
}

/* What Python values a type has, as far as a class's annotations may ask for others: "numeric",
 * "text", "json", ("list", kind), ("row", fields); None for the rest. */
static PyObject *kind_of(const hn_type *type, int depth)
{
    if (type->loads != NULL || depth > DEPTH_MAX) /* the user's converter has decided */
        Py_RETURN_NONE;
    PyObject *kind;
    switch (type->family) {
    case HN_FAMILY_NUMERIC:
        return PyUnicode_FromString("numeric");
    case HN_FAMILY_TEXT:
    case HN_FAMILY_CHAR:
    case HN_FAMILY_ENUM:
        return PyUnicode_FromString("text");
    case HN_FAMILY_JSON:
    case HN_FAMILY_JSONB:
        return PyUnicode_FromString("json");
    case HN_FAMILY_ARRAY:
        kind = kind_of(type->related, depth + 1);
        return kind == NULL ? NULL : Py_BuildValue("(sN)", "list", kind);
    case HN_FAMILY_COMPOSITE:
        return kind_of_composite(type, depth);
    case HN_FAMILY_DOMAIN:
        if (type->related != NULL)
            return kind_of(type->related, depth + 1);
        Py_RETURN_NONE;
    default:
        Py_RETURN_NONE;
    }
}

static PyObject *columns_of(const hn_description *description)
{
    PyObject *columns = PyTuple_New(description->ncolumns);
    for (uint16_t i = 0; columns != NULL && i < description->ncolumns; i++) {
        PyObject *kind = kind_of(description->columns[i].type, 0), *column = NULL;
        if (kind != NULL)
            column = Py_BuildValue("(ON)", description->columns[i].name, kind);
        if (column == NULL)
            Py_CLEAR(columns);
        else
            PyTuple_SET_ITEM(columns, i, column);
    }
    return columns;
}

/* A new reference to a Maker or None; NULL with an exception. */
static PyObject *fit(const hn_description *description, const hn_row_class *class)
{
    PyObject *module = PyImport_ImportModule("hypern.rows.fit");
    PyObject *columns = module == NULL ? NULL : columns_of(description);
    PyObject *maker = NULL;
    if (columns != NULL)
        maker = PyObject_CallMethod(module, "fit", "OO", class->plan, columns);
    Py_XDECREF(columns);
    Py_XDECREF(module);
    if (maker != NULL && maker != Py_None && !Py_IS_TYPE(maker, hn_maker_type)) {
        Py_DECREF(maker);
        PyErr_SetString(PyExc_SystemError, "fit() must return a Maker or None");
        return NULL;
    }
    return maker;
}

PyObject *hn_description_maker(hn_description *description, PyObject *row_class)
{
    if (description->makers == NULL && (description->makers = PyDict_New()) == NULL)
        return NULL;
    PyObject *maker = PyDict_GetItemWithError(description->makers, row_class);
    if (maker != NULL || PyErr_Occurred())
        return Py_XNewRef(maker);
    maker = fit(description, (const hn_row_class *)row_class);
    if (maker == NULL)
        return NULL;
    if (PyDict_GET_SIZE(description->makers) >= MAKERS_MAX)
        PyDict_Clear(description->makers);
    if (PyDict_SetItem(description->makers, row_class, maker) < 0)
        Py_CLEAR(maker);
    return maker;
}
