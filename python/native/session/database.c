/* What the sessions of one configured alias share. */
#include "session/database.h"

#include "buf.h"
#include "core/core.h"
#include "error.h"

static const char *text_of(PyObject *str, int64_t *len)
{
    Py_ssize_t n = 0;
    const char *text = PyUnicode_AsUTF8AndSize(str, &n);
    *len = n;
    return text;
}

bool hn_database_is_configured(const hn_database *self)
{
    return self->configured && hn_core_loaded() && self->generation == hn_core_generation();
}

static void forget_types(hn_database *self)
{
    hn_descriptions_clear(&self->descriptions);
    hn_catalogs_clear(&self->catalogs);
}

static int configure(hn_database *self)
{
    if (hn_core_load() < 0)
        return -1;
    if (hn_database_is_configured(self))
        return 0;
    forget_types(self);
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

int hn_database_configure(hn_database *self)
{
    if (configure(self) < 0)
        return -1;
    if (self->attend == NULL)
        return 0;
    PyObject *returned = PyObject_CallNoArgs(self->attend);
    if (returned == NULL) {
        self->configured = false; /* without its thread no dial would get a password */
        return -1;
    }
    Py_DECREF(returned);
    return 0;
}

int64_t hn_database_open(hn_database *self, PyObject *request_id, PyObject *options, bool reads,
                         PyObject *wanted)
{
    int64_t request_len, alias_len, position_len = 0;
    const char *position = wanted == NULL ? NULL : text_of(wanted, &position_len);
    if (wanted != NULL && position == NULL)
        return -1;
    const char *request = text_of(request_id, &request_len);
    const char *alias = text_of(self->alias, &alias_len);
    if (request == NULL || alias == NULL || configure(self) < 0)
        return -1;
    hn_buf out = {NULL, 0, 0};
    const char *given = options == NULL ? NULL : PyBytes_AS_STRING(options);
    int64_t given_len = options == NULL ? 0 : PyBytes_GET_SIZE(options);
    int64_t handle = hn_go.hypern_open(request, request_len, alias, alias_len, given, given_len,
                                       reads, position, position_len, &out);
    if (handle < 0)
        hn_raise_core(out.data, out.len);
    hn_buf_free(&out);
    return handle;
}

PyObject *hn_database_status(hn_database *self)
{
    if (!hn_database_is_configured(self))
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

int hn_database_drain(hn_database *self)
{
    int64_t len;
    const char *alias = text_of(self->alias, &len);
    if (alias == NULL)
        return -1;
    if (!hn_database_is_configured(self))
        return 0;
    hn_buf out = {NULL, 0, 0};
    int rc = hn_go.hypern_pool(HN_POOL_DRAIN, alias, len, &out);
    if (rc < 0)
        hn_raise_core(out.data, out.len);
    hn_buf_free(&out);
    return rc < 0 ? -1 : 0;
}

int hn_database_close(hn_database *self, hn_pool_op how)
{
    int64_t len;
    const char *alias = text_of(self->alias, &len);
    if (alias == NULL)
        return -1;
    hn_buf out = {NULL, 0, 0};
    int fd = hn_go.hypern_pool((int32_t)how, alias, len, &out);
    if (fd < 0)
        hn_raise_core(out.data, out.len);
    hn_buf_free(&out);
    if (fd < 0)
        return -1;
    self->configured = false;
    forget_types(self);
    return fd;
}

int hn_database_register(hn_database *self, const char *type_name, PyObject *loads, PyObject *dumps)
{
    if (hn_catalogs_register(&self->catalogs, type_name, loads, dumps) < 0)
        return -1;
    hn_descriptions_clear(&self->descriptions); /* their converters were chosen without it */
    return 0;
}
