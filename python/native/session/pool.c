/* One configured alias: its settings until the core needs them, and what C keeps for it. */
#include "session/pool.h"

#include <errno.h>
#include <structmember.h>
#include <unistd.h>

#include "buf.h"
#include "core/core.h"
#include "engine/drive.h"
#include "error.h"
#include "session/session.h"
#include "session/standstill.h"

PyTypeObject *hn_pool_type;

static const char *text_of(PyObject *str, int64_t *len)
{
    Py_ssize_t n = 0;
    const char *text = PyUnicode_AsUTF8AndSize(str, &n);
    *len = n;
    return text;
}

/* The core has this pool's settings, and the plans are of the core that is loaded. */
static bool is_configured(const hn_pool *self)
{
    return self->configured && hn_core_loaded() && self->generation == hn_core_generation();
}

static int configure(hn_pool *self)
{
    if (hn_core_load() < 0)
        return -1;
    if (is_configured(self))
        return 0;
    hn_plans_clear(&self->plans);
    hn_catalogs_clear(&self->catalogs);
    hn_buf out = {NULL, 0, 0};
    int rc = hn_go.hypern_configure(PyBytes_AS_STRING(self->settings),
                                    PyBytes_GET_SIZE(self->settings), &out);
    if (rc < 0)
        hn_raise_core(out.data, out.len);
    hn_buf_free(&out);
    if (rc < 0)
        return -1;
    self->configured = true;
    self->generation = hn_core_generation();
    return 0;
}

int64_t hn_pool_open(hn_pool *self, PyObject *request_id)
{
    int64_t request_len, alias_len;
    const char *request = text_of(request_id, &request_len);
    const char *alias = text_of(self->alias, &alias_len);
    if (request == NULL || alias == NULL || configure(self) < 0)
        return -1;
    hn_buf out = {NULL, 0, 0};
    int64_t handle = hn_go.hypern_open(request, request_len, alias, alias_len, &out);
    if (handle < 0)
        hn_raise_core(out.data, out.len);
    hn_buf_free(&out);
    return handle;
}

static PyObject *open_session(PyObject *op, PyObject *request_id)
{
    if (!PyUnicode_Check(request_id))
        return PyErr_Format(PyExc_TypeError, "a request id is a str, not %s",
                            Py_TYPE(request_id)->tp_name);
    if (!is_configured((hn_pool *)op) && hn_standstill_look() < 0)
        return NULL;
    return hn_session_open((hn_pool *)op, request_id);
}

PyObject *hn_pool_status(hn_pool *self)
{
    if (!is_configured(self))
        Py_RETURN_NONE;
    int64_t len;
    const char *alias = text_of(self->alias, &len);
    if (alias == NULL)
        return NULL;
    hn_buf out = {NULL, 0, 0};
    PyObject *result = NULL;
    if (hn_go.hypern_pool(HN_POOL_STATUS, alias, len, &out) >= 0)
        result = PyBytes_FromStringAndSize((const char *)out.data, (Py_ssize_t)out.len);
    else
        hn_raise_core(out.data, out.len);
    hn_buf_free(&out);
    return result;
}

static PyObject *status(PyObject *self, PyObject *unused)
{
    (void)unused;
    return hn_pool_status((hn_pool *)self);
}

/* Close the core's pool and wait for the end of it, as long as the caller wants to. */
static PyObject *shut(hn_pool *self, hn_pool_op what, PyObject *timeout)
{
    hn_time until;
    int64_t len;
    const char *alias = text_of(self->alias, &len);
    if (alias == NULL || hn_deadline(timeout, &until, NULL) < 0)
        return NULL;
    if (!is_configured(self))
        Py_RETURN_NONE;
    hn_buf out = {NULL, 0, 0};
    int fd = hn_go.hypern_pool((int32_t)what, alias, len, &out);
    if (fd < 0)
        hn_raise_core(out.data, out.len);
    hn_buf_free(&out);
    if (fd < 0)
        return NULL;
    self->configured = false; /* the next use hands the settings over again */
    hn_plans_clear(&self->plans);
    hn_catalogs_clear(&self->catalogs);
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
    return shut((hn_pool *)self, HN_POOL_CLOSE, timeout);
}

static PyObject *disconnect(PyObject *self, PyObject *timeout)
{
    return shut((hn_pool *)self, HN_POOL_DISCONNECT, timeout);
}

static PyObject *register_type(PyObject *op, PyObject *args)
{
    hn_pool *self = (hn_pool *)op;
    const char *name;
    PyObject *loads, *dumps;
    if (!PyArg_ParseTuple(args, "sOO:register_type", &name, &loads, &dumps) ||
        hn_catalogs_register(&self->catalogs, name, loads, dumps) < 0)
        return NULL;
    hn_plans_clear(&self->plans); /* their converters were chosen without it */
    Py_RETURN_NONE;
}

static PyObject *get_observer(PyObject *self, void *unused)
{
    (void)unused;
    PyObject *observer = ((hn_pool *)self)->observer;
    return Py_NewRef(observer != NULL ? observer : Py_None);
}

static int set_observer(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    if (value != NULL && value != Py_None && !PyCallable_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "observer must be a callable or None");
        return -1;
    }
    Py_XSETREF(((hn_pool *)self)->observer, value == Py_None ? NULL : Py_XNewRef(value));
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
                            "json_dumps", "infinity_minmax", "password",     NULL};
    PyObject *alias, *settings, *session_type = NULL;
    PyObject *loads = NULL, *dumps = NULL, *password = NULL;
    int minmax = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "US|$OOOpO:Pool", names, &alias, &settings,
                                     &session_type, &loads, &dumps, &minmax, &password))
        return NULL;
    if (callable_or_none("json_loads", &loads) < 0 || callable_or_none("json_dumps", &dumps) < 0 ||
        callable_or_none("password", &password) < 0)
        return NULL;
    if (session_type == NULL || !PyType_Check(session_type) ||
        !PyType_IsSubtype((PyTypeObject *)session_type, hn_session_type)) {
        PyErr_SetString(PyExc_TypeError, "session_type must be a subclass of Session");
        return NULL;
    }
    hn_pool *self = (hn_pool *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->alias = Py_NewRef(alias);
    self->settings = Py_NewRef(settings);
    self->session_type = Py_NewRef(session_type);
    self->password = Py_XNewRef(password);
    hn_catalogs_init(&self->catalogs, hn_codec_new(loads, dumps, minmax));
    if (self->catalogs.hooks == NULL || hn_plans_init(&self->plans) < 0)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int traverse(PyObject *op, visitproc visit, void *arg)
{
    hn_pool *self = (hn_pool *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->session_type);
    Py_VISIT(self->password);
    Py_VISIT(self->observer);
    Py_VISIT(self->plans.by_sql);
    return hn_catalogs_traverse(&self->catalogs, visit, arg);
}

static int clear(PyObject *op)
{
    hn_pool *self = (hn_pool *)op;
    Py_CLEAR(self->password);
    Py_CLEAR(self->observer);
    hn_plans_clear(&self->plans);
    hn_catalogs_drop_hooks(&self->catalogs);
    return 0;
}

static void dealloc(PyObject *op)
{
    hn_pool *self = (hn_pool *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    clear(op);
    Py_CLEAR(self->alias);
    Py_CLEAR(self->settings);
    Py_CLEAR(self->session_type);
    hn_plans_free(&self->plans);
    hn_catalogs_free(&self->catalogs);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"open", open_session, METH_O, NULL},
    {"status", status, METH_NOARGS, NULL},
    {"close", close_pool, METH_O, NULL},
    {"disconnect", disconnect, METH_O, NULL},
    {"register_type", register_type, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"alias", T_OBJECT, offsetof(hn_pool, alias), READONLY, NULL},
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
    if (hn_pool_type == NULL)
        hn_pool_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return hn_pool_type == NULL ? -1 : PyModule_AddType(module, hn_pool_type);
}
