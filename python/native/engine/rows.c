/* The rows of a result, from the receive buffer to what the caller requested. */
#include "engine/rows.h"

#include <string.h>

#include "buf.h"
#include "engine/copy.h"
#include "engine/items.h"
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

/* What makes rows of a description: a new reference in maker, or NULL. 0, or -1 with an
 * exception. */
static int prepare(const hn_engine *e, hn_description *description, PyObject **maker)
{
    *maker = NULL;
    if (!makes_rows(e) || e->request.shape == HN_ROW_TUPLE)
        return 0;
    if (e->request.shape == HN_ROW_DICT)
        return hn_description_makes_dicts(description);
    *maker = hn_description_maker(description, e->request.into);
    if (*maker == NULL)
        return -1;
    if (*maker == Py_None)
        Py_CLEAR(*maker);
    return 0;
}

int hn_rows_prepare(hn_engine *e)
{
    PyObject *maker;
    if (prepare(e, e->description, &maker) < 0)
        return -1;
    Py_XSETREF(e->maker, maker);
    return 0;
}

int hn_rows_read_by(hn_engine *e, Py_ssize_t from, hn_description *description)
{
    PyObject *maker;
    if (hn_reading_ends_with(&e->reading, description))
        return 0;
    if (prepare(e, description, &maker) < 0)
        return -1;
    return hn_reading_add(&e->reading, from, description, maker);
}

static PyObject *decode(const hn_engine *e, hn_description *description, PyObject *maker,
                        const uint8_t *body, size_t len)
{
    if (e->request.mode == HN_MODE_VALUES)
        return hn_decode_first(description, body, len);
    if (e->request.shape == HN_ROW_TUPLE)
        return hn_decode_tuple(description, body, len);
    if (maker != NULL)
        return hn_decode_made(description, maker, body, len);
    return hn_decode_row(description, body, len);
}

static int take_row(hn_engine *e, const uint8_t *body, size_t len)
{
    hn_description *description = e->description;
    PyObject *maker = e->maker;
    if (e->request.op == HN_OP_MANY)
        description = hn_reading_description(&e->reading, &maker);
    if (description == NULL)
        return hn_raise("InterfaceError", "the server sent rows that it had not described");
    if (e->request.mode == HN_MODE_VALUE) {
        e->io.keep = false;
        e->result = hn_decode_first(description, body, len);
        return e->result == NULL ? -1 : 0;
    }
    if (e->request.mode == HN_MODE_ONLY && e->result != NULL)
        return hn_raise_too_many_rows();
    PyObject *row = decode(e, description, maker, body, len);
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

/* Adds the row of query_many whose result cannot be read to the exception. Always -1. */
static int name_row(const hn_engine *e)
{
    PyObject *exception = hn_exception_take();
    PyObject *row = PyLong_FromSsize_t(e->reading.command);
    if (row == NULL || PyObject_SetAttrString(exception, "row", row) < 0)
        PyErr_Clear(); /* one without attributes */
    Py_XDECREF(row);
    hn_exception_raise(exception);
    return -1;
}

static int make_list(hn_engine *e)
{
    if (!wants_all(e) || e->result != NULL)
        return 0;
    e->result = PyList_New(0);
    return e->result == NULL ? -1 : 0;
}

void hn_rows_begin_item(hn_engine *e)
{
    if (hn_items_reading(e) != NULL)
        hn_items_select(e, (size_t)e->reading.command);
}

/* A row of a batch. One that cannot be read is no error of the batch, which has run. */
static int take_row_of_item(hn_engine *e, const uint8_t *body, size_t len)
{
    hn_item *item = hn_items_reading(e);
    if (item == NULL || item->is_full || e->request.mode < HN_MODE_ROWS)
        return 0;
    int rc = make_list(e) < 0 ? -1 : take_row(e, body, len);
    item->is_full = rc < 0 || !e->io.keep;
    e->io.keep = true;
    if (rc == 0 || !PyErr_ExceptionMatches(PyExc_Exception))
        return rc;
    item->raised = hn_exception_take();
    return 0;
}

static int take_marked(hn_engine *e, const uint8_t *body, size_t len)
{
    if (e->request.op == HN_OP_BATCH)
        return take_row_of_item(e, body, len);
    return take_row(e, body, len) < 0 ? name_row(e) : 0;
}

/* The number at the end of a command tag; 0 if there is none. */
static int64_t count_of_tag(const uint8_t *tag, size_t len)
{
    int64_t count = 0, place = 1;
    while (len > 0 && tag[len - 1] == 0)
        len--;
    for (; len > 0 && tag[len - 1] >= '0' && tag[len - 1] <= '9' && place < INT64_MAX / 100;
         len--) {
        count += (tag[len - 1] - '0') * place;
        place *= 10;
    }
    return count;
}

/* 0, or -1 with an exception. */
static int end_command(hn_engine *e, const uint8_t *tag, size_t len)
{
    bool is_batch = e->request.op == HN_OP_BATCH;
    hn_item *item = is_batch ? hn_items_reading(e) : NULL;
    if (item != NULL)
        item->count = count_of_tag(tag, len);
    if (item != NULL && e->request.mode == HN_MODE_RESULT) {
        item->tag.len = 0;
        if (hn_buf_bytes(&item->tag, tag, strnlen((const char *)tag, len)) < 0)
            return -1;
    }
    hn_reading_next(&e->reading);
    if (is_batch)
        hn_rows_begin_item(e);
    return 0;
}

/* The columns of a statement that is parsed anew. Where they are not those that its rows would be
 * read by, the rows are dropped: the core reports it. */
static void look_at_columns(hn_engine *e, const uint8_t *body, size_t len)
{
    if (e->request.op == HN_OP_BATCH) {
        hn_item *item = hn_items_reading(e);
        bool is_read = item != NULL && e->description != NULL;
        if (is_read && !hn_description_is_announced(e->description, body, len))
            item->is_full = true;
    } else if (e->reading.announced > 0) {
        e->reading.announced--;
        if (e->reading.announced == 0)
            e->io.keep = hn_description_is_announced(e->variant->description, body, len);
    }
}

/* Rows among the ends of the commands that they belong to. */
static int take_marked_rows(hn_engine *e)
{
    hn_io *io = &e->io;
    for (size_t at = io->walk; at < io->scan && io->keep;) {
        const uint8_t *frame = io->in.data + at;
        size_t len = hn_get_u32(frame + 1);
        if (frame[0] == 'D' && take_marked(e, frame + 5, len - 4) < 0)
            return -1;
        if (frame[0] == 'T')
            look_at_columns(e, frame + 5, len - 4);
        if ((frame[0] == 'C' || frame[0] == 'I') && end_command(e, frame + 5, len - 4) < 0)
            return -1;
        at += 1 + len;
    }
    return 0;
}

static int take_copied(hn_engine *e)
{
    const hn_io *io = &e->io;
    for (size_t at = io->walk; at < io->scan && io->keep;) {
        size_t len = hn_get_u32(io->in.data + at + 1);
        const uint8_t *data = io->in.data + at + 5;
        size_t size = len - 4;
        if (io->in.data[at] == 'd' &&
            (hn_copy_row(e, &data, &size) < 0 || (data != NULL && take_row(e, data, size) < 0)))
            return -1;
        at += 1 + len;
    }
    return 0;
}

static int take_rows(hn_engine *e)
{
    hn_io *io = &e->io;
    if (e->request.op != HN_OP_BATCH && make_list(e) < 0)
        return -1;
    if (io->marks)
        return take_marked_rows(e);
    if (io->data)
        return e->request.shape == HN_ROW_BYTES ? hn_copy_take(e) : take_copied(e);
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
