/* The data of a COPY FROM STDIN: encoded rows, or bytes as they are, sent while responses come in.
 *
 * As for execute_many, a batch is made only when the one before it has been sent whole, so that no
 * message is cut in two. What is given up ends with CopyFail: the server then takes nothing of it.
 * Rows need no message of their own, so that a batch is one.
 */
#include "engine/copy.h"

#include "buf.h"
#include "engine/step.h"
#include "error.h"

#define BATCH_SIZE ((size_t)128 << 10)
#define BATCH_TIME (20 * HN_MS)
#define MESSAGE_MAX ((size_t)64 << 20) /* the server allocates a message whole */

static const uint8_t binary_header[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";
enum { BINARY_HEADER = 19 };
static const uint8_t binary_trailer[] = {0xff, 0xff};

static bool lacks_data(const hn_engine *e)
{
    return hn_replay_lacks_rows(&e->rows) && e->raised == NULL && !e->cancelled;
}

static int append_header(hn_buf *batch, size_t len)
{
    return hn_buf_u8(batch, 'd') < 0 ? -1 : hn_buf_u32(batch, (uint32_t)(len + 4));
}

static int append_bytes(hn_buf *batch, const uint8_t *data, size_t len)
{
    while (len > 0) {
        size_t part = len < MESSAGE_MAX ? len : MESSAGE_MAX;
        if (append_header(batch, part) < 0 || hn_buf_bytes(batch, data, part) < 0)
            return -1;
        data += part;
        len -= part;
    }
    return 0;
}

/* A chunk of the caller's. */
static int append_chunk(hn_engine *e, PyObject *chunk)
{
    Py_buffer view;
    if (!PyObject_CheckBuffer(chunk)) {
        PyErr_Format(PyExc_TypeError, "the data of a COPY is chunks of bytes, not %.100s",
                     Py_TYPE(chunk)->tp_name);
        return -1;
    }
    if (PyObject_GetBuffer(chunk, &view, PyBUF_SIMPLE) < 0)
        return -1;
    int rc = append_bytes(&e->body, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return rc;
}

static int append_row(hn_engine *e, PyObject *row)
{
    int rc = hn_encode_copied(e->description, row, e->request.columns, e->timezone, e->row,
                              e->deadline, &e->body);
    if (rc == HN_NEED_TZ)
        return hn_raise("InterfaceError", "the server did not report its TimeZone setting");
    if (rc == 0)
        e->row++;
    return rc;
}

/* Takes what comes next: BATCH_SIZE bytes and the rest of the last row or chunk, or what an
 * iterable gives in BATCH_TIME. 1 if there may be more, 0 if that was all, -1 with an exception. */
static int take(hn_engine *e)
{
    bool is_at_hand = e->rows.left != NULL && Py_IS_TYPE(e->rows.left, &PyListIter_Type);
    bool has_rows = e->request.columns != NULL;
    hn_time until = is_at_hand ? HN_NEVER : hn_now() + BATCH_TIME;
    size_t start = e->body.len;
    while (e->body.len - start < BATCH_SIZE &&
           (is_at_hand || e->body.len == start || hn_now() < until)) {
        PyObject *next = hn_replay_next(&e->rows);
        if (next == NULL)
            return PyErr_Occurred() ? -1 : e->rows.to_come;
        int rc = has_rows ? append_row(e, next) : append_chunk(e, next);
        Py_DECREF(next);
        if (rc < 0)
            return -1;
    }
    return 1;
}

/* The next batch. is_first: the header of the binary format precedes the rows. As `take`. */
static int fill(hn_engine *e, bool is_first)
{
    e->body.len = 0;
    if (e->request.columns == NULL)
        return take(e);
    if (append_header(&e->body, 0) < 0 ||
        (is_first && hn_buf_bytes(&e->body, binary_header, BINARY_HEADER) < 0))
        return -1;
    int more = take(e);
    if (more == 0 && hn_buf_bytes(&e->body, binary_trailer, sizeof binary_trailer) < 0)
        return -1;
    if (more >= 0)
        hn_put_u32(e->body.data + 1, (uint32_t)(e->body.len - 1));
    return more;
}

static void send_more(hn_engine *e, bool is_first)
{
    bool is_given_up = e->io.erred || e->raised != NULL || e->cancelled;
    int more = is_given_up ? -1 : fill(e, is_first);
    if (more < 0) {
        if (PyErr_Occurred())
            hn_engine_raise(e);
        hn_io_send(&e->io, e->call.out.data, e->call.out.len);
    } else {
        hn_io_send(&e->io, e->body.data, e->body.len);
        if (more == 0)
            hn_io_send(&e->io, e->call.tail.data, e->call.tail.len);
    }
    e->io.feeding = more > 0;
}

hn_progress hn_copy_feed(hn_engine *e, int block_ms)
{
    hn_io *io = &e->io;
    if (!e->round_open && lacks_data(e)) {
        e->need = HN_NEED_ROWS;
        return HN_NEEDS;
    }
    if (!e->round_open) {
        hn_engine_open_round(e);
        io->zs_left = 1;
        io->feeding = true;
        send_more(e, true);
    }
    switch (hn_engine_pump(e, block_ms)) {
    case HN_PUMPED_SENT:
        if (lacks_data(e) && !io->erred) {
            e->need = HN_NEED_ROWS;
            return HN_NEEDS;
        }
        send_more(e, false);
        io->events = 0;
        return hn_engine_needs_io(e);
    case HN_PUMPED_ALL:
        hn_engine_close_round(e, e->cancelled || e->raised != NULL ? HN_IN_CANCELLED : 0);
        return HN_ON;
    case HN_PUMPED_ROWS:
        io->events = 0;
        return hn_engine_needs_io(e);
    case HN_PUMPED_WAIT:
    default:
        return hn_engine_needs_io(e);
    }
}
