/* A result in chunks: what a session keeps between them, and the methods that ask for them. */
#include "engine/stream.h"

#include "core/core.h"
#include "engine/drive.h"
#include "error.h"
#include "session/session.h"
#include "session/text.h"

void hn_stream_forget(hn_session *self)
{
    self->stream.number = 0;
    Py_CLEAR(self->stream.sql);
    if (self->stream.plan != NULL)
        hn_plan_unref(self->stream.plan);
    self->stream.plan = NULL;
}

static void keep(hn_engine *e)
{
    struct hn_stream *stream = &e->session->stream;
    if (stream->number == e->call.stream && stream->number != 0 && e->plan != NULL) {
        hn_plan_ref(e->plan); /* another one, where a type was altered since the last chunk */
        hn_plan_unref(stream->plan);
        stream->plan = e->plan;
    }
    if (stream->number == e->call.stream)
        return;
    hn_stream_forget(e->session);
    if (e->call.stream == 0 || e->plan == NULL)
        return;
    stream->number = e->call.stream;
    stream->sql = Py_XNewRef(e->request.sql);
    stream->plan = e->plan;
    hn_plan_ref(stream->plan);
}

void hn_stream_resume(hn_engine *e)
{
    const struct hn_stream *stream = &e->session->stream;
    if (stream->number != e->request.stream)
        return;
    e->plan = stream->plan;
    if (e->plan != NULL)
        hn_plan_ref(e->plan);
}

int hn_stream_look(hn_engine *e)
{
    const struct hn_stream *stream = &e->session->stream;
    e->body.len = 0;
    if (stream->plan != NULL && hn_plan_comes_as(e->plan, stream->plan))
        return 0;
    return hn_raise("DataError", "the types of the stream's rows were altered between two chunks, so that "
                                 "its rows cannot be read any more; start another stream");
}

PyObject *hn_stream_chunk(hn_engine *e, PyObject *rows)
{
    keep(e);
    if (rows == NULL)
        rows = PyList_New(0);
    if (rows == NULL)
        return NULL;
    return Py_BuildValue("NK", rows, (unsigned long long)e->call.stream);
}

/* The methods are the package's own: it gives each argument, in order. */

static PyObject *run(PyObject *self, hn_request *request, PyObject *chunk_rows, PyObject *timeout)
{
    hn_time deadline;
    request->mode = HN_MODE_CHUNK;
    request->chunk = PyLong_AsLongLong(chunk_rows);
    if ((request->chunk == -1 && PyErr_Occurred()) || 
        hn_deadline(timeout, &deadline, &request->timeout) < 0)
        return NULL;
    return hn_session_do(self, request, deadline, false);
}

static PyObject *open_stream(PyObject *self, PyObject *args)
{
    PyObject *text, *params, *chunk_rows, *timeout;
    if (!PyArg_ParseTuple(args, "OOOO:_stream_open", &text, &params, &chunk_rows, &timeout))
        return NULL;
    if (params == Py_None)
        params = NULL;
    PyObject *resolved = NULL; /* keeps them */
    if (!hn_text_is_plain(text, params)) {
        resolved = hn_text_resolve(text, params);
        if (resolved == NULL)
            return NULL;
        text = PyTuple_GET_ITEM(resolved, 0);
        params = PyTuple_GET_ITEM(resolved, 1);
    }
    PyObject *sql = hn_check_params(params, -1) < 0 ? NULL : hn_session_check_sql(text);
    if (sql == NULL) {
        Py_XDECREF(resolved);
        return NULL;
    }
    if (params == Py_None)
        params = NULL;
    hn_request request = {.op = HN_OP_STREAM, .sql = sql, .params = params};
    request.method = "_stream_open";
    PyObject *result = run(self, &request, chunk_rows, timeout);
    Py_DECREF(sql);
    Py_XDECREF(resolved);
    return result;
}

static PyObject *fetch(PyObject *op, PyObject *args)
{
    const hn_session *self = hn_session_of(op);
    unsigned long long number;
    PyObject *chunk_rows, *timeout;
    if (!PyArg_ParseTuple(args, "KOO:_stream_fetch", &number, &chunk_rows, &timeout))
        return NULL;
    /* For the observer; the core knows it by number. */
    PyObject *sql = self->stream.number == number ? Py_XNewRef(self->stream.sql) : NULL;
    hn_request request = {.op = HN_OP_FETCH, .sql = sql, .stream = number};
    request.method = "_stream_fetch";
    PyObject *result = run(op, &request, chunk_rows, timeout);
    Py_XDECREF(sql);
    return result;
}

/* For clean-up, whenever that comes: in a destructor, too. Where the stream has ended with
 * something else, it is silent. */
static PyObject *close_stream(PyObject *op, PyObject *number)
{
    const hn_session *self = hn_session_of(op);
    hn_request request = {.op = HN_OP_STREAM_END, .mode = HN_MODE_NOTHING, .timeout = -1};
    request.method = "_stream_close";
    request.stream = PyLong_AsUnsignedLongLong(number);
    if (PyErr_Occurred())
        return NULL;
    bool elsewhere = self->generation != hn_core_generation() || !hn_core_loaded();
    /* This thread is in the middle of another operation, which has ended the stream. */
    bool inside = hn_lock_is_mine(&self->lock);
    if ((elsewhere || inside) && hn_session_is_blocking(op))
        Py_RETURN_NONE;
    return hn_session_do(op, &request, HN_NEVER, false);
}

PyMethodDef hn_stream_methods[] = {
    {"_stream_open", open_stream, METH_VARARGS, NULL},
    {"_stream_fetch", fetch, METH_VARARGS, NULL},
    {"_stream_close", close_stream, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};
