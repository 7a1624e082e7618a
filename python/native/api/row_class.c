/* The class that rows are made of, compiled by hypern.rows and kept. */
#include "api/row_class.h"

#include <stdbool.h>

/* Classes that are kept; beyond these it begins anew. A program has fewer, unless it makes them as
 * it goes. */
#define CLASSES_MAX 1024

static PyTypeObject *row_class_type;
static PyObject *known; /* dict: address of what was given -> hn_row_class, which keeps that */

static int traverse(PyObject *op, visitproc visit, void *arg)
{
    hn_row_class *self = (hn_row_class *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->into);
    Py_VISIT(self->plan);
    Py_VISIT(self->guards);
    return 0;
}

static int clear(PyObject *op)
{
    hn_row_class *self = (hn_row_class *)op;
    Py_CLEAR(self->into);
    Py_CLEAR(self->plan);
    Py_CLEAR(self->guards);
    return 0;
}

static void dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyType_Slot slots[] = {
    {Py_tp_traverse, traverse},
    {Py_tp_clear, clear},
    {Py_tp_dealloc, dealloc},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "hypern._native.RowClass",
    .basicsize = sizeof(hn_row_class),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

int hn_row_class_ready(void)
{
    if (known == NULL)
        known = PyDict_New();
    if (row_class_type == NULL)
        row_class_type = (PyTypeObject *)PyType_FromSpec(&spec);
    return known == NULL || row_class_type == NULL ? -1 : 0;
}

/* Changes with each change of the type or of its bases; 0 where Python has not given it one. */
static unsigned int version_of(PyObject *into)
{
    return PyType_Check(into) ? ((PyTypeObject *)into)->tp_version_tag : 0;
}

static PyObject *compile(PyObject *into)
{
    PyObject *module = PyImport_ImportModule("hypern.rows.plan");
    PyObject *pair = module == NULL ? NULL : PyObject_CallMethod(module, "compiled", "O", into);
    Py_XDECREF(module);
    if (pair == NULL)
        return NULL;
    hn_row_class *self = (hn_row_class *)row_class_type->tp_alloc(row_class_type, 0);
    if (self != NULL) {
        self->into = Py_NewRef(into);
        self->plan = Py_NewRef(PyTuple_GET_ITEM(pair, 0));
        self->guards = Py_NewRef(PyTuple_GET_ITEM(pair, 1));
        self->version = version_of(into);
    }
    Py_DECREF(pair);
    return (PyObject *)self;
}

/* Whether the class is as it was when it was compiled: 1, 0 if somebody has replaced a method, -1
 * with an exception. */
static int is_intact(hn_row_class *self)
{
    unsigned int version = version_of(self->into);
    if (version != 0 && version == self->version)
        return 1;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self->guards); i++) {
        PyObject *guard = PyTuple_GET_ITEM(self->guards, i);
        PyObject *now = PyObject_GetAttr(self->into, PyTuple_GET_ITEM(guard, 0));
        if (now == NULL) {
            PyErr_Clear();
            return 0;
        }
        int same = PyObject_RichCompareBool(now, PyTuple_GET_ITEM(guard, 1), Py_EQ);
        Py_DECREF(now);
        if (same <= 0)
            return same;
    }
    self->version = version;
    return 1;
}

/* A method of an object, or a partial, is another object each time, and not worth keeping. */
static bool is_kept(PyObject *into)
{
    return PyType_Check(into) || PyFunction_Check(into) ||
           PyObject_HasAttrString(into, "__origin__");
}

PyObject *hn_row_class_of(PyObject *into)
{
    PyObject *key = PyLong_FromVoidPtr(into);
    if (key == NULL)
        return NULL;
    PyObject *found = PyDict_GetItemWithError(known, key);
    int intact = 0;
    if (found != NULL) {
        Py_INCREF(found);
        intact = is_intact((hn_row_class *)found);
    }
    if (intact != 0 || PyErr_Occurred()) {
        Py_DECREF(key);
        if (intact < 0)
            Py_CLEAR(found);
        return found;
    }
    Py_XDECREF(found);
    PyObject *made = compile(into);
    if (made != NULL && is_kept(into)) {
        if (PyDict_GET_SIZE(known) >= CLASSES_MAX)
            PyDict_Clear(known);
        if (PyDict_SetItem(known, key, made) < 0)
            Py_CLEAR(made);
    }
    Py_DECREF(key);
    return made;
}
