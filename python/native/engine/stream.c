/* A result in chunks: what a target keeps between them. */
#include "engine/stream.h"


static void keep(hn_engine *e)
{
    struct hn_stream *stream = &e->target->stream;
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

void hn_stream_resume(hn_engine *e)
{
    const struct hn_stream *stream = &e->target->stream;
    if (stream->number != e->request.stream)
        return;
    e->description = stream->description;
    if (e->description != NULL)
        hn_description_ref(e->description);
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
