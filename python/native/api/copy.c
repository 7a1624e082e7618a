/* The methods of a session, awaited or not, that run a COPY. */
#include "api/kinds.h"
#include "api/operation.h"
#include "drive/wait.h"

static PyObject *copy_in(const char *method, PyObject *self, PyObject *sql, PyObject *data,
                         PyObject *columns, PyObject *timeout)
{
    hn_time deadline;
    hn_request request = {.op = HN_OP_COPY_IN, .mode = HN_MODE_COUNT, .params = data};
    request.method = method;
    request.columns = columns;
    if (hn_deadline(timeout, &deadline, &request.timeout) < 0)
        return NULL;
    request.sql = hn_check_sql(sql);
    if (request.sql == NULL)
        return NULL;
    const PyAsyncMethods *async = Py_TYPE(data)->tp_as_async;
    request.is_fed = !hn_is_blocking(self) && async != NULL && async->am_aiter != NULL;
    PyObject *result = hn_do(self, &request, deadline, false);
    if (result != NULL && request.is_fed)
        result = hn_operation_fed(result, data);
    Py_DECREF(request.sql);
    return result;
}

/* Only the package calls these, with each argument in order. */

static PyObject *copy_data(PyObject *self, PyObject *args)
{
    PyObject *sql, *data, *timeout;
    if (!PyArg_ParseTuple(args, "OOO:_copy_data", &sql, &data, &timeout))
        return NULL;
    return copy_in("copy_in_raw", self, sql, data, NULL, timeout);
}

static PyObject *copy_rows(PyObject *self, PyObject *args)
{
    PyObject *insert, *rows, *columns, *timeout;
    if (!PyArg_ParseTuple(args, "OOO!O:_copy_rows", &insert, &rows, &PyTuple_Type, &columns,
                          &timeout))
        return NULL;
    return copy_in("copy_in", self, insert, rows, columns, timeout);
}

PyMethodDef hn_copy_methods[] = {
    {"_copy_data", copy_data, METH_VARARGS, NULL},
    {"_copy_rows", copy_rows, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
