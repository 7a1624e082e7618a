/* Makes an object of a row's values. */
#include "values/maker.h"

#include <string.h>

PyTypeObject *hn_maker_type;

static PyObject *no_arguments; /* an empty tuple */
static PyObject *post_init;    /* "__post_init__" */

int hn_maker_init(void)
{
    if (no_arguments == NULL)
        no_arguments = PyTuple_New(0);
    if (post_init == NULL)
        post_init = PyUnicode_InternFromString("__post_init__");
    return no_arguments == NULL || post_init == NULL ? -1 : 0;
}

int hn_maker_fill(const hn_maker *self, PyObject **values)
{
    for (Py_ssize_t i = 0; i < self->nfills; i++) {
        const hn_fill *fill = &self->fills[i];
        PyObject *value = fill->is_factory ? PyObject_CallNoArgs(fill->value) : fill->value;
        if (value == NULL)
            return -1;
        values[fill->place] = fill->is_factory ? value : Py_NewRef(value);
    }
    return 0;
}

static PyObject *make_sequence(const hn_maker *self, PyObject **values)
{
    PyTypeObject *type = (PyTypeObject *)self->make;
    PyObject *made = type->tp_alloc(type, self->nvalues);
    for (Py_ssize_t i = 0; made != NULL && i < self->nvalues; i++) {
        PyTuple_SET_ITEM(made, i, values[i]);
        values[i] = NULL;
    }
    return made;
}

static int set_attributes(const hn_maker *self, PyObject *made, PyObject **values)
{
    for (Py_ssize_t i = 0; i < self->nvalues; i++) {
        if (self->offsets[i] >= 0) { /* of a new object, so the slot is empty */
            *(PyObject **)((char *)made + self->offsets[i]) = values[i];
            values[i] = NULL;
        } else if (PyObject_GenericSetAttr(made, PyTuple_GET_ITEM(self->names, i), values[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

static PyObject *make_instance(const hn_maker *self, PyObject **values)
{
    PyObject *made = PyBaseObject_Type.tp_new((PyTypeObject *)self->make, no_arguments, NULL);
    if (made == NULL)
        return NULL;
    PyObject *none = NULL;
    if (set_attributes(self, made, values) < 0)
        Py_CLEAR(made);
    else if (self->has_post_init && (none = PyObject_CallMethodNoArgs(made, post_init)) == NULL)
        Py_CLEAR(made);
    Py_XDECREF(none);
    return made;
}

PyObject *hn_maker_make(const hn_maker *self, PyObject **values)
{
    switch (self->making) {
    case HN_MAKE_SEQUENCE:
        return make_sequence(self, values);
    case HN_MAKE_INSTANCE:
        return make_instance(self, values);
    case HN_MAKE_CALL: {
        Py_ssize_t nkeywords = PyTuple_GET_SIZE(self->names);
        size_t npositional = (size_t)(self->nvalues - nkeywords);
        return PyObject_Vectorcall(self->make, values, npositional | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                   nkeywords == 0 ? NULL : self->names);
    }
    case HN_MAKE_DOCUMENT:
    case HN_MAKE_DICT:
    default:
        PyErr_SetString(PyExc_SystemError, "a row's values for what is made of a dict");
        return NULL;
    }
}
