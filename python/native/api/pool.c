/* One configured alias: its settings until the core needs them, and what C keeps for it. */
#include "api/pool.h"

#include <structmember.h>
#include <unistd.h>

#include "api/kinds.h"
#include "api/session.h"
#include "api/standstill.h"
#include "drive/wait.h"
#include "session/database.h"

typedef struct hn_pool {
    hn_database database;
    PyObject *session_type; /* a subclass of Session */
} hn_pool;

static PyObject *open_session(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs < 1 || nargs > 2)
        return PyErr_Format(PyExc_TypeError, "open() takes a request id and options");
    PyObject *request_id = args[0];
    if (!PyUnicode_Check(request_id))
        return PyErr_Format(PyExc_TypeError, "a request id is a str, not %s",
                            Py_TYPE(request_id)->tp_name);
    hn_database *database = (hn_database *)op;
    if (!hn_database_is_configured(database) &&
        (hn_standstill_look() < 0 || hn_database_configure(database) < 0))
        return NULL;
    return hn_session_open((PyTypeObject *)((hn_pool *)op)->session_type, database, request_id,
                           nargs == 2 ? args[1] : Py_None);
}

static PyObject *load(PyObject *self, PyObject *unused)
{
    (void)unused;
    hn_database *database = (hn_database *)self;
    if (!hn_database_is_configured(database) && hn_database_configure(database) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *status(PyObject *self, PyObject *unused)
{
    (void)unused;
    return hn_database_status((hn_database *)self);
}

/* Closes the core's pool and waits until all connections have gone, or the timeout has passed. */
static PyObject *shut(hn_database *self, hn_pool_op what, PyObject *timeout)
{
    hn_time until;
    if (hn_deadline(timeout, &until, NULL) < 0)
        return NULL;
    if (!hn_database_is_configured(self))
        Py_RETURN_NONE;
    int fd = hn_database_close(self, what);
    if (fd < 0)
        return NULL;
    int ready = 0;
    while (ready == 0 && hn_ms_until(until, 1) > 0)
        ready = hn_wait_fd(fd, 1, until);
    close(fd);
    if (ready < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *close_pool(PyObject *self, PyObject *timeout)
{
    return shut((hn_database *)self, HN_POOL_CLOSE, timeout);
}

static PyObject *disconnect(PyObject *self, PyObject *timeout)
{
    return shut((hn_database *)self, HN_POOL_DISCONNECT, timeout);
}

static PyObject *drain(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (hn_database_drain((hn_database *)self) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *register_type(PyObject *op, PyObject *args)
{
    const char *name;
    PyObject *loads, *dumps;
    if (!PyArg_ParseTuple(args, "sOO:register_type", &name, &loads, &dumps) ||
        hn_database_register((hn_database *)op, name, loads, dumps) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *get_observer(PyObject *self, void *unused)
{
    (void)unused;
    PyObject *observer = ((hn_database *)self)->observer;
    return Py_NewRef(observer != NULL ? observer : Py_None);
}

static int set_observer(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    if (value != NULL && value != Py_None && !PyCallable_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "observer must be a callable or None");
        return -1;
    }
    Py_XSETREF(((hn_database *)self)->observer, value == Py_None ? NULL : Py_XNewRef(value));
    return 0;
}

static int callable_or_none(const char *name, PyObject **value)
{
    if (*value == Py_None)
        *value = NULL;
    if (*value == NULL || PyCallable_Check(*value))
        return 0;
    PyErr_Format(PyExc_TypeError, "%s must be a callable or None, not %s", name,
                 Py_TYPE(*value)->tp_name);
    return -1;
}

static PyObject *new_pool(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"alias",      "settings",        "session_type", "json_loads",
                            "json_dumps", "infinity_minmax", "attend",       NULL};
    PyObject *alias, *settings, *session_type = NULL;
    PyObject *loads = NULL, *dumps = NULL, *attend = NULL;
    int minmax = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "US|$OOOpO:Pool", names, &alias, &settings,
                                     &session_type, &loads, &dumps, &minmax, &attend))
        return NULL;
    if (callable_or_none("json_loads", &loads) < 0 || callable_or_none("json_dumps", &dumps) < 0 ||
        callable_or_none("attend", &attend) < 0)
        return NULL;
    if (session_type == NULL || !PyType_Check(session_type) ||
        !PyType_IsSubtype((PyTypeObject *)session_type, hn_session_type)) {
        PyErr_SetString(PyExc_TypeError, "session_type must be a subclass of Session");
        return NULL;
    }
    hn_pool *self = (hn_pool *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    hn_database *database = &self->database;
    database->alias = Py_NewRef(alias);
    database->settings = Py_NewRef(settings);
    database->attend = Py_XNewRef(attend);
    self->session_type = Py_NewRef(session_type);
    hn_catalogs_init(&database->catalogs, hn_codec_new(loads, dumps, minmax));
    if (database->catalogs.hooks == NULL || hn_descriptions_init(&database->descriptions) < 0)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int traverse(PyObject *op, visitproc visit, void *arg)
{
    hn_database *self = (hn_database *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((hn_pool *)op)->session_type);
    Py_VISIT(self->attend);
    Py_VISIT(self->observer);
    Py_VISIT(self->descriptions.by_sql);
    return hn_catalogs_traverse(&self->catalogs, visit, arg);
}

static int clear(PyObject *op)
{
    hn_database *self = (hn_database *)op;
    Py_CLEAR(self->attend);
    Py_CLEAR(self->observer);
    hn_descriptions_clear(&self->descriptions);
    hn_catalogs_drop_hooks(&self->catalogs);
    return 0;
}

static void dealloc(PyObject *op)
{
    hn_database *self = (hn_database *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    clear(op);
    Py_CLEAR(self->alias);
    Py_CLEAR(self->settings);
    Py_CLEAR(((hn_pool *)op)->session_type);
    hn_descriptions_free(&self->descriptions);
    hn_catalogs_free(&self->catalogs);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"open", (PyCFunction)(void (*)(void))open_session, METH_FASTCALL, NULL},
    {"load", load, METH_NOARGS, NULL},
    {"status", status, METH_NOARGS, NULL},
    {"close", close_pool, METH_O, NULL},
    {"disconnect", disconnect, METH_O, NULL},
    {"drain", drain, METH_NOARGS, NULL},
    {"register_type", register_type, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"alias", T_OBJECT, offsetof(hn_database, alias), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef getters[] = {
    {"observer", get_observer, set_observer, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static char type_doc[] = "One configured alias. The core is loaded by the first open().";

static PyType_Slot slots[] = {
    {Py_tp_new, new_pool},    {Py_tp_traverse, traverse}, {Py_tp_clear, clear},
    {Py_tp_dealloc, dealloc}, {Py_tp_methods, methods},   {Py_tp_members, members},
    {Py_tp_getset, getters},  {Py_tp_doc, type_doc},      {0, NULL},
};

static PyType_Spec spec = {
    .name = "hypern._native.Pool",
    .basicsize = sizeof(hn_pool),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

int hn_pool_ready(PyObject *module)
{
    static PyTypeObject *pool_type;
    if (pool_type == NULL)
        pool_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return pool_type == NULL ? -1 : PyModule_AddType(module, pool_type);
}
