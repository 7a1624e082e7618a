/* The rows of a result, from the receive buffer to what the caller requested. */
#include "engine/rows.h"

#include "buf.h"
#include "engine/step.h"
#include "error.h"

static bool wants_all(const hn_engine *e)
{
    return e->request.mode == HN_MODE_ROWS || e->request.mode == HN_MODE_CHUNK ||
           e->request.mode == HN_MODE_RESULT || e->request.mode == HN_MODE_VALUES;
}

static bool makes_rows(const hn_engine *e)
{
    return e->request.mode >= HN_MODE_ROWS && e->request.mode != HN_MODE_VALUES &&
           e->request.mode != HN_MODE_VALUE;
}

int hn_rows_prepare(hn_engine *e)
{
    if (!makes_rows(e) || e->request.shape == HN_ROW_TUPLE)
        return 0;
    if (e->request.shape == HN_ROW_DICT)
        return hn_description_makes_dicts(e->description);
    PyObject *maker = hn_description_maker(e->description, e->request.into);
    if (maker == NULL)
        return -1;
    if (maker == Py_None)
        Py_CLEAR(maker);
    Py_XSETREF(e->maker, maker);
    return 0;
}

static PyObject *decode(const hn_engine *e, const uint8_t *body, size_t len)
{
    if (e->request.mode == HN_MODE_VALUES)
        return hn_decode_first(e->description, body, len);
    if (e->request.shape == HN_ROW_TUPLE)
        return hn_decode_tuple(e->description, body, len);
    if (e->maker != NULL)
        return hn_decode_made(e->description, e->maker, body, len);
    return hn_decode_row(e->description, body, len);
}

static int take_row(hn_engine *e, const uint8_t *body, size_t len)
{
    if (e->description == NULL)
        return hn_raise("InterfaceError", "the server sent rows that it had not described");
    if (e->request.mode == HN_MODE_VALUE) {
        e->io.keep = false;
        e->result = hn_decode_first(e->description, body, len);
        return e->result == NULL ? -1 : 0;
    }
    if (e->request.mode == HN_MODE_ONLY && e->result != NULL)
        return hn_raise_too_many_rows();
    PyObject *row = decode(e, body, len);
    if (row == NULL)
        return -1;
    if (!wants_all(e)) {
        e->io.keep = e->request.mode == HN_MODE_ONLY; /* for a look at what follows */
        e->result = row;
        return 0;
    }
    int rc = PyList_Append(e->result, row);
    Py_DECREF(row);
    return rc;
}

static int take_rows(hn_engine *e)
{
    hn_io *io = &e->io;
    if (wants_all(e) && e->result == NULL) {
        e->result = PyList_New(0);
        if (e->result == NULL)
            return -1;
    }
    /* The scan has seen these frames whole, with lengths in bounds. */
    for (size_t at = io->walk; at < io->scan && io->keep;) {
        const uint8_t *frame = io->in.data + at;
        size_t len = hn_get_u32(frame + 1);
        if (frame[0] == 'D' && take_row(e, frame + 5, len - 4) < 0)
            return -1;
        at += 1 + len;
    }
    return 0;
}

PyObject *hn_rows_result(hn_engine *e, PyObject *rows)
{
    const hn_buf *tag = &e->call.out;
    PyObject *result = NULL;
    if (rows == NULL)
        rows = PyList_New(0);
    if (e->description == NULL)
        PyErr_SetString(PyExc_SystemError, "a result without a description");
    else if (rows != NULL)
        result = hn_description_result(e->description, rows, e->call.count, (const char *)tag->data,
                                       tag->len);
    Py_XDECREF(rows);
    return result;
}

void hn_rows_decode(hn_engine *e)
{
    if (e->io.held > 0 && e->io.keep) {
        /* Rows hold no cycles yet, so that a collection while a chunk is decoded finds nothing; it
         * only walks what the chunk has made so far. docs/performance.md has the figures. */
        int collecting = PyGC_Disable();
        if (take_rows(e) < 0)
            hn_engine_raise(e);
        if (collecting)
            PyGC_Enable();
    }
    hn_io_taken(&e->io);
}
