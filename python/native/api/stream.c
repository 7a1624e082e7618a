/* The methods of a session, awaited or not, that read a result in chunks. */
#include "api/kinds.h"
#include "api/text.h"
#include "drive/wait.h"

/* Only the package calls these methods, with each argument in order. */

static PyObject *run(PyObject *self, hn_request *request, PyObject *chunk_rows, PyObject *timeout)
{
    hn_time deadline;
    request->mode = HN_MODE_CHUNK;
    request->chunk = PyLong_AsLongLong(chunk_rows);
    if ((request->chunk == -1 && PyErr_Occurred()) ||
        hn_deadline(timeout, &deadline, &request->timeout) < 0)
        return NULL;
    return hn_do(self, request, deadline, false);
}

static PyObject *open_stream(PyObject *self, PyObject *args)
{
    PyObject *text, *params, *into, *chunk_rows, *timeout;
    if (!PyArg_ParseTuple(args, "OOOOO:_stream_open", &text, &params, &into, &chunk_rows, &timeout))
        return NULL;
    if (params == Py_None)
        params = NULL;
    PyObject *resolved = NULL; /* keeps text and params alive */
    if (!hn_text_is_plain(text, params)) {
        resolved = hn_text_resolve(text, params);
        if (resolved == NULL)
            return NULL;
        text = PyTuple_GET_ITEM(resolved, 0);
        params = PyTuple_GET_ITEM(resolved, 1);
        if (params == Py_None)
            params = NULL;
    }
    PyObject *result = NULL;
    PyObject *sql = params != NULL && hn_check_params(params, -1) < 0 ? NULL : hn_check_sql(text);
    if (sql != NULL) {
        hn_request request = {.op = HN_OP_STREAM, .sql = sql, .params = params};
        request.method = "_stream_open";
        if (hn_take_into(&request, into) == 0)
            result = run(self, &request, chunk_rows, timeout);
        Py_CLEAR(request.into);
        Py_DECREF(sql);
    }
    Py_XDECREF(resolved);
    return result;
}

static PyObject *fetch(PyObject *op, PyObject *args)
{
    const hn_view *self = hn_view_of(op);
    unsigned long long number;
    PyObject *into, *chunk_rows, *timeout;
    if (!PyArg_ParseTuple(args, "KOOO:_stream_fetch", &number, &into, &chunk_rows, &timeout))
        return NULL;
    /* For the observer; the core finds the stream by number. */
    PyObject *sql =
        self->target.stream.number == number ? Py_XNewRef(self->target.stream.sql) : NULL;
    hn_request request = {.op = HN_OP_FETCH, .sql = sql, .stream = number};
    request.method = "_stream_fetch";
    request.takes_bytes = true;
    PyObject *result = NULL;
    if (hn_take_into(&request, into) == 0)
        result = run(op, &request, chunk_rows, timeout);
    Py_CLEAR(request.into);
    Py_XDECREF(sql);
    return result;
}

static PyObject *open_copy(PyObject *self, PyObject *args)
{
    PyObject *text, *into, *chunk, *timeout;
    if (!PyArg_ParseTuple(args, "OOOO:_copy_out", &text, &into, &chunk, &timeout))
        return NULL;
    PyObject *result = NULL, *sql = hn_check_sql(text);
    if (sql == NULL)
        return NULL;
    hn_request request = {.op = HN_OP_COPY_OUT, .sql = sql, .takes_bytes = true};
    request.method = "_copy_out";
    if (hn_take_into(&request, into) == 0)
        result = run(self, &request, chunk, timeout);
    Py_CLEAR(request.into);
    Py_DECREF(sql);
    return result;
}

/* For clean-up, whenever that comes: in a destructor, too. Where the stream has ended with
 * something else, it is silent. */
static PyObject *close_stream(PyObject *op, PyObject *number)
{
    const hn_view *self = hn_view_of(op);
    hn_request request = {.op = HN_OP_STREAM_END, .mode = HN_MODE_NOTHING, .timeout = -1};
    request.method = "_stream_close";
    request.stream = PyLong_AsUnsignedLongLong(number);
    if (PyErr_Occurred())
        return NULL;
    bool is_parents = !hn_target_is_here(&self->target);
    /* This thread is in the middle of another operation, which has ended the stream. */
    bool inside = hn_lock_is_mine(&self->lock);
    if ((is_parents || inside) && hn_is_blocking(op))
        Py_RETURN_NONE;
    return hn_do(op, &request, HN_NEVER, false);
}

PyMethodDef hn_stream_methods[] = {
    {"_stream_open", open_stream, METH_VARARGS, NULL},
    {"_stream_fetch", fetch, METH_VARARGS, NULL},
    {"_copy_out", open_copy, METH_VARARGS, NULL},
    {"_stream_close", close_stream, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};
