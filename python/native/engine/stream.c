/* A result in chunks: what a target keeps between them. */
#include "engine/stream.h"

#include "engine/rows.h"
#include "error.h"

static void keep(hn_engine *e)
{
    struct hn_stream *stream = &e->target->stream;
    if (stream->number == e->call.stream && stream->number != 0 && e->description != NULL) {
        hn_description_ref(e->description); /* another one, where a type was altered since the last
                                               chunk */
        hn_description_unref(stream->description);
        stream->description = e->description;
    }
    if (stream->number == e->call.stream)
        return;
    hn_target_forget_stream(e->target);
    if (e->call.stream == 0 || e->description == NULL)
        return;
    stream->number = e->call.stream;
    stream->sql = Py_XNewRef(e->request.sql);
    stream->description = e->description;
    hn_description_ref(stream->description);
}

int hn_stream_resume(hn_engine *e)
{
    const struct hn_stream *stream = &e->target->stream;
    if (stream->number != e->request.stream)
        return 0;
    e->description = stream->description;
    if (e->description == NULL)
        return 0;
    hn_description_ref(e->description);
    return hn_rows_prepare(e);
}

int hn_stream_look(hn_engine *e)
{
    const struct hn_stream *stream = &e->target->stream;
    e->body.len = 0;
    if (stream->description != NULL && hn_description_comes_as(e->description, stream->description))
        return 0;
    return hn_raise("DataError",
                    "the types of the stream's rows were altered between two chunks, so that "
                    "its rows cannot be read any more; start another stream");
}

PyObject *hn_stream_chunk(hn_engine *e, PyObject *rows)
{
    keep(e);
    PyObject *columns = NULL;
    if (e->request.shape == HN_ROW_BYTES)
        columns = PyTuple_New(0);
    else if (e->description != NULL)
        columns = hn_description_columns(e->description);
    else
        PyErr_SetString(PyExc_SystemError, "a stream without a description");
    if (rows == NULL && columns != NULL)
        rows = PyList_New(0);
    if (rows == NULL || columns == NULL) {
        Py_XDECREF(rows);
        Py_XDECREF(columns);
        return NULL;
    }
    return Py_BuildValue("NKN", rows, (unsigned long long)e->call.stream, columns);
}
