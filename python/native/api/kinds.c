/* The two kinds of session, and what their methods end in. */
#include "api/kinds.h"

#include <string.h>

#include "api/operation.h"
#include "api/row_class.h"
#include "drive/run.h"
#include "error.h"

PyTypeObject *hn_session_type, *hn_async_session_type;

bool hn_is_blocking(PyObject *self)
{
    return PyObject_TypeCheck(self, hn_session_type);
}

hn_view *hn_view_of(PyObject *self)
{
    return hn_is_blocking(self) ? (hn_view *)self : &((hn_async_session *)self)->session->view;
}

hn_session *hn_session_of(PyObject *self)
{
    if (hn_is_blocking(self))
        return (hn_session *)self;
    return PyObject_TypeCheck(self, hn_async_session_type) ? ((hn_async_session *)self)->session
                                                           : NULL;
}

PyObject *hn_do(PyObject *self, const hn_request *request, hn_time deadline, bool chained)
{
    hn_view *view = hn_view_of(self);
    if (!hn_is_blocking(self))
        return hn_operation_new(view, request, deadline, chained ? self : NULL);
    if (request->op == HN_OP_FINALIZE)
        return hn_run_finalize(view, deadline);
    PyObject *result = hn_run(view, request, deadline);
    if (result != NULL && chained)
        Py_SETREF(result, Py_NewRef(self));
    return result;
}

int hn_take_into(hn_request *request, PyObject *into)
{
    if (into == NULL || into == (PyObject *)&PyDict_Type)
        return 0;
    if (into == (PyObject *)&PyBytes_Type && request->takes_bytes) {
        request->shape = HN_ROW_BYTES;
        return 0;
    }
    if (into == (PyObject *)&PyTuple_Type) {
        request->shape = HN_ROW_TUPLE;
        return 0;
    }
    request->shape = HN_ROW_CLASS;
    request->into = hn_row_class_of(into);
    return request->into == NULL ? -1 : 0;
}

PyObject *hn_check_sql(PyObject *sql)
{
    if (!PyUnicode_Check(sql)) {
        PyErr_Format(PyExc_TypeError, "sql must be a str or a Template, not %s",
                     Py_TYPE(sql)->tp_name);
        return NULL;
    }
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(sql, &len);
    if (text == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
            return NULL;
        PyErr_Clear();
        hn_raise("ProgrammingError", "sql cannot be sent as UTF-8: it holds a lone surrogate");
        return NULL;
    }
    if (len > HN_TEXT_MAX) {
        hn_raise("ProgrammingError",
                 "sql is longer than 1 GiB, which is more than PostgreSQL takes");
        return NULL;
    }
    if (memchr(text, 0, (size_t)len) != NULL) {
        hn_raise("ProgrammingError", "sql holds a NUL character, which PostgreSQL does not take");
        return NULL;
    }
    return PyUnicode_FromObject(sql);
}
