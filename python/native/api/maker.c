/* Maker: the Python type of what makes objects of rows, which hypern.rows calls. */
#include "api/maker.h"

#include <string.h>
#include <structmember.h>

#include "values/maker.h"

/* Where the value of a slot is in an object of the class, or -1. */
static Py_ssize_t offset_of(PyObject *class, PyObject *name)
{
    PyObject *found = PyObject_GetAttr(class, name); /* a slot is its own attribute of the class */
    if (found == NULL) {
        PyErr_Clear();
        return -1;
    }
    Py_ssize_t offset = -1;
    if (Py_IS_TYPE(found, &PyMemberDescr_Type) &&
        PyType_IsSubtype((PyTypeObject *)class, PyDescr_TYPE(found))) {
        const PyMemberDef *member = ((PyMemberDescrObject *)found)->d_member;
        if (member->type == T_OBJECT_EX && member->flags == 0)
            offset = member->offset;
    }
    Py_DECREF(found);
    return offset;
}

/* 0 or -1; what has been allocated is dealloc's to free. */
static int take_places(hn_maker *self, PyObject *places, PyObject *converters)
{
    self->ncolumns = PyTuple_GET_SIZE(places);
    self->places = PyMem_Calloc((size_t)self->ncolumns + 1, sizeof *self->places);
    self->converters = PyMem_Calloc((size_t)self->ncolumns + 1, sizeof *self->converters);
    if (self->places == NULL || self->converters == NULL)
        return PyErr_NoMemory(), -1;
    for (Py_ssize_t i = 0; i < self->ncolumns; i++) {
        self->places[i] = PyLong_AsSsize_t(PyTuple_GET_ITEM(places, i));
        if (self->places[i] == -1 && PyErr_Occurred())
            return -1;
        PyObject *converter = PyTuple_GET_ITEM(converters, i);
        if (converter != Py_None)
            self->converters[i] = Py_NewRef(converter);
    }
    return 0;
}

static int take_fills(hn_maker *self, PyObject *fills)
{
    Py_ssize_t n = PyTuple_GET_SIZE(fills);
    self->fills = PyMem_Calloc((size_t)n + 1, sizeof *self->fills);
    if (self->fills == NULL)
        return PyErr_NoMemory(), -1;
    for (Py_ssize_t i = 0; i < n; i++) {
        hn_fill *fill = &self->fills[i];
        int is_factory;
        PyObject *value;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(fills, i), "nOp", &fill->place, &value, &is_factory))
            return -1;
        fill->value = Py_NewRef(value);
        fill->is_factory = is_factory != 0;
        self->nfills++;
    }
    return 0;
}

static int find_offsets(hn_maker *self)
{
    self->offsets = PyMem_Calloc((size_t)self->nvalues + 1, sizeof *self->offsets);
    if (self->offsets == NULL)
        return PyErr_NoMemory(), -1;
    for (Py_ssize_t i = 0; i < self->nvalues; i++)
        self->offsets[i] = offset_of(self->make, PyTuple_GET_ITEM(self->names, i));
    return 0;
}

/* Each value has exactly one place, and the classes are of the kind that they are taken for: a
 * mistake of hypern.rows must not become one of memory. */
static int check(const hn_maker *self)
{
    const PyTypeObject *type = PyType_Check(self->make) ? (PyTypeObject *)self->make : NULL;
    bool by_dict = self->making == HN_MAKE_DICT || self->making == HN_MAKE_DOCUMENT;
    if (self->making == HN_MAKE_SEQUENCE &&
        (type == NULL || !PyType_IsSubtype((PyTypeObject *)self->make, &PyTuple_Type)))
        goto wrong;
    if (self->making == HN_MAKE_INSTANCE &&
        (type == NULL || type->tp_new != PyBaseObject_Type.tp_new ||
         PyTuple_GET_SIZE(self->names) != self->nvalues))
        goto wrong;
    if (by_dict)
        return 0;
    char *taken = PyMem_Calloc((size_t)self->nvalues + 1, 1);
    if (taken == NULL)
        return PyErr_NoMemory(), -1;
    bool fits = PyTuple_GET_SIZE(self->names) <= self->nvalues;
    for (Py_ssize_t i = 0; fits && i < self->ncolumns + self->nfills; i++) {
        Py_ssize_t at =
            i < self->ncolumns ? self->places[i] : self->fills[i - self->ncolumns].place;
        fits = at >= 0 && at < self->nvalues && taken[at]++ == 0;
    }
    PyMem_Free(taken);
    if (fits)
        return 0;
wrong:
    PyErr_SetString(PyExc_SystemError, "the plan of a class does not fit it");
    return -1;
}

/* Maker(making, make, places, converters, names, fills, has_post_init) */
static PyObject *new_maker(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static const char *const words[] = {"dict", "document", "sequence", "instance", "call"};
    const char *word;
    PyObject *make, *places, *converters, *names, *fills;
    int has_post_init;
    (void)kwargs;
    if (!PyArg_ParseTuple(args, "sOO!O!O!O!p:Maker", &word, &make, &PyTuple_Type, &places,
                          &PyTuple_Type, &converters, &PyTuple_Type, &names, &PyTuple_Type, &fills,
                          &has_post_init))
        return NULL;
    int making = 0;
    while (making < 5 && strcmp(words[making], word) != 0)
        making++;
    if (making == 5 || PyTuple_GET_SIZE(places) != PyTuple_GET_SIZE(converters)) {
        PyErr_SetString(PyExc_SystemError, "Maker() is called with a plan that it does not know");
        return NULL;
    }
    hn_maker *self = (hn_maker *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->making = (hn_making)making;
    self->make = Py_NewRef(make);
    self->names = Py_NewRef(names);
    self->has_post_init = has_post_init != 0;
    self->nvalues = PyTuple_GET_SIZE(places) + PyTuple_GET_SIZE(fills);
    if (take_places(self, places, converters) == 0 && take_fills(self, fills) == 0 &&
        check(self) == 0 && (self->making != HN_MAKE_INSTANCE || find_offsets(self) == 0))
        return (PyObject *)self;
    Py_DECREF(self);
    return NULL;
}

static int traverse(PyObject *op, visitproc visit, void *arg)
{
    hn_maker *self = (hn_maker *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->make);
    Py_VISIT(self->names);
    for (Py_ssize_t i = 0; self->converters != NULL && i < self->ncolumns; i++)
        Py_VISIT(self->converters[i]);
    for (Py_ssize_t i = 0; i < self->nfills; i++)
        Py_VISIT(self->fills[i].value);
    return 0;
}

static void dealloc(PyObject *op)
{
    hn_maker *self = (hn_maker *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_CLEAR(self->make);
    Py_CLEAR(self->names);
    for (Py_ssize_t i = 0; self->converters != NULL && i < self->ncolumns; i++)
        Py_CLEAR(self->converters[i]);
    for (Py_ssize_t i = 0; i < self->nfills; i++)
        Py_CLEAR(self->fills[i].value);
    PyMem_Free(self->places);
    PyMem_Free(self->converters);
    PyMem_Free(self->offsets);
    PyMem_Free(self->fills);
    type->tp_free(op);
    Py_DECREF(type);
}

static char type_doc[] = "Makes objects of rows; by hypern.rows.";

/* There is no tp_clear: what it refers to does not refer back, but for a class, which clears
 * itself. */
static PyType_Slot slots[] = {
    {Py_tp_new, new_maker},
    {Py_tp_traverse, traverse},
    {Py_tp_dealloc, dealloc},
    {Py_tp_doc, type_doc},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "hypern._native.Maker",
    .basicsize = sizeof(hn_maker),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

int hn_maker_ready(PyObject *module)
{
    if (hn_maker_type == NULL)
        hn_maker_type = (PyTypeObject *)PyType_FromSpec(&spec);
    return hn_maker_type == NULL ? -1 : PyModule_AddType(module, hn_maker_type);
}
