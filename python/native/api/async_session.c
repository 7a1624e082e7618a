/* AsyncSession: the same session underneath, the same methods, awaited. */
#include "api/async_session.h"

#include "api/kinds.h"

/* Without references it is about to go: its deallocation may have been put off, and other code
 * runs. */
static bool has_awaited(const hn_session *session)
{
    return session->awaited != NULL && Py_REFCNT(session->awaited) > 0;
}

static PyObject *new_awaited(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *op;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0)
        return PyErr_Format(PyExc_TypeError, "%s() takes no keyword arguments", type->tp_name);
    if (!PyArg_ParseTuple(args, "O!:AsyncSession", hn_session_type, &op))
        return NULL;
    hn_session *session = (hn_session *)op;
    if (has_awaited(session))
        return Py_NewRef(session->awaited);
    hn_async_session *self = (hn_async_session *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->session = (hn_session *)Py_NewRef(op);
    if (!has_awaited(session)) /* the allocation may have run Python code */
        session->awaited = (PyObject *)self;
    return (PyObject *)self;
}

/* closure: the attribute's name. */
static PyObject *get(PyObject *op, void *closure)
{
    return PyObject_GetAttrString((PyObject *)((hn_async_session *)op)->session, closure);
}

/* A setter of the session returns the session: here it is this one. */
static PyObject *set(PyObject *op, const char *method, PyObject *args, PyObject *kwargs)
{
    PyObject *bound = PyObject_GetAttrString((PyObject *)((hn_async_session *)op)->session, method);
    PyObject *returned = bound == NULL ? NULL : PyObject_Call(bound, args, kwargs);
    Py_XDECREF(bound);
    if (returned == NULL)
        return NULL;
    Py_DECREF(returned);
    return Py_NewRef(op);
}

#define SETTER(name)                                                                               \
    static PyObject *name(PyObject *op, PyObject *args, PyObject *kwargs)                          \
    {                                                                                              \
        return set(op, #name, args, kwargs);                                                       \
    }
SETTER(set_auto_commit)
SETTER(set_error)
SETTER(on_commit)
#undef SETTER

static int traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((hn_async_session *)op)->session);
    return 0;
}

static void dealloc(PyObject *op)
{
    hn_async_session *self = (hn_async_session *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    if (self->session->awaited == op)
        self->session->awaited = NULL;
    Py_DECREF(self->session);
    type->tp_free(op);
    Py_DECREF(type);
}

PyDoc_STRVAR(set_auto_commit_doc, "set_auto_commit($self, enabled)\n--\n\n"
                                  "As DbSession's; not awaited. Returns the session.");
PyDoc_STRVAR(set_error_doc, "set_error($self)\n--\n\n"
                            "As DbSession's; not awaited. Returns the session.");
PyDoc_STRVAR(on_commit_doc,
             "on_commit($self, fn)\n--\n\n"
             "As DbSession's; not awaited. fn may be a coroutine function: then the\n"
             "task that awaits the commit awaits it. Returns the session.");

static PyMethodDef setters[] = {
    {"set_auto_commit", (PyCFunction)(void (*)(void))set_auto_commit, METH_VARARGS | METH_KEYWORDS,
     set_auto_commit_doc},
    {"set_error", (PyCFunction)(void (*)(void))set_error, METH_VARARGS | METH_KEYWORDS,
     set_error_doc},
    {"on_commit", (PyCFunction)(void (*)(void))on_commit, METH_VARARGS | METH_KEYWORDS,
     on_commit_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef getters[] = {
    {"request_id", get, NULL, "The id of the request that the session belongs to.", "request_id"},
    {"label", get, NULL, "The label of the scope that the session belongs to, or None.", "label"},
    {"alias", get, NULL, "The alias of the session's database.", "alias"},
    {"state", get, NULL, "idle, connected, in_transaction, committed, rolled_back or closed.",
     "state"},
    {"is_in_transaction", get, NULL, "Whether a transaction is open, an aborted one included.",
     "is_in_transaction"},
    {"auto_commit", get, NULL, "Whether finalizing commits an open transaction.", "auto_commit"},
    {"has_error", get, NULL, "Whether set_error() was called.", "has_error"},
    {NULL, NULL, NULL, NULL, NULL},
};

/* The methods of all tables in one, as a type requires. */
static PyMethodDef methods[56];

static void join_methods(void)
{
    const PyMethodDef *const tables[] = {
        setters,           hn_statement_methods, hn_transaction_methods,
        hn_stream_methods, hn_batch_methods,     hn_copy_methods};
    size_t n = 0;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        for (const PyMethodDef *m = tables[i]; m->ml_name != NULL; m++)
            methods[n++] = *m;
}

static char type_doc[] = "A request's session on one database, awaited; made by adb() only.";

static PyType_Slot slots[] = {
    {Py_tp_new, new_awaited},
    {Py_tp_traverse, traverse},
    {Py_tp_dealloc, dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, getters},
    {Py_tp_doc, type_doc},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "hypern._native.AsyncSession",
    .basicsize = sizeof(hn_async_session),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

int hn_async_session_ready(PyObject *module)
{
    if (hn_async_session_type == NULL) {
        join_methods();
        hn_async_session_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
        if (hn_async_session_type == NULL)
            return -1;
    }
    return PyModule_AddType(module, hn_async_session_type);
}
