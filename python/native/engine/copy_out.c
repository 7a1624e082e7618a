/* The data of a COPY TO STDOUT, in chunks: rows, or bytes as they are. */
#include "engine/copy.h"

#include <string.h>

#include "buf.h"
#include "engine/step.h"
#include "error.h"

#define FRAME_HEAD 5

/* All bytes of [walk, scan) in one object: the server sends a message for each row. */
int hn_copy_take(hn_engine *e)
{
    const hn_io *io = &e->io;
    size_t total = 0;
    for (size_t at = io->walk; at < io->scan; at += 1 + hn_get_u32(io->in.data + at + 1))
        if (io->in.data[at] == 'd')
            total += hn_get_u32(io->in.data + at + 1) - 4;
    if (total == 0)
        return 0;
    PyObject *chunk = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)total);
    if (chunk == NULL)
        return -1;
    char *to = PyBytes_AS_STRING(chunk);
    for (size_t at = io->walk; at < io->scan; at += 1 + hn_get_u32(io->in.data + at + 1)) {
        size_t len = hn_get_u32(io->in.data + at + 1) - 4;
        if (io->in.data[at] != 'd')
            continue;
        memcpy(to, io->in.data + at + FRAME_HEAD, len);
        to += len;
    }
    int rc = PyList_Append(e->result, chunk);
    Py_DECREF(chunk);
    e->copied += (int64_t)total;
    return rc;
}

/* Whether the server has described the same columns ahead of the rows; it does so where no
 * transaction was open, which would keep the tables as they are. */
static bool is_as_described(const hn_engine *e)
{
    const hn_buf *ctl = &e->io.ctl;
    for (size_t at = 0; at + FRAME_HEAD <= ctl->len; at += 1 + hn_get_u32(ctl->data + at + 1)) {
        const uint8_t *frame = ctl->data + at;
        if (frame[0] == 'T' && e->description != NULL)
            return hn_description_is_announced(e->description, frame + FRAME_HEAD,
                                               hn_get_u32(frame + 1) - 4);
    }
    return true;
}

int hn_copy_row(hn_engine *e, const uint8_t **data, size_t *len)
{
    static const uint8_t signature[] = "PGCOPY\n\377\r\n";
    enum { SIGNATURE = 11, EXTENSION = 15, HEADER = 19 };
    if (e->header_due && !is_as_described(e)) {
        e->io.keep = false; /* the core reports it */
        *data = NULL;
        return 0;
    }
    if (e->header_due) {
        if (*len < HEADER || memcmp(*data, signature, SIGNATURE) != 0)
            return hn_raise("DataError", "malformed binary COPY from the server: no header");
        size_t header = HEADER + (size_t)hn_get_u32(*data + EXTENSION);
        if (header > *len)
            return hn_raise("DataError", "malformed binary COPY from the server: a short header");
        e->header_due = false;
        *data += header;
        *len -= header;
    }
    bool is_trailer = *len == 2 && (*data)[0] == 0xff && (*data)[1] == 0xff;
    if (*len == 0 || is_trailer)
        *data = NULL;
    return 0;
}

bool hn_copy_is_full(const hn_engine *e)
{
    if (!e->io.data || (e->call.io_flags & HN_IO_WHOLE) != 0 || e->cancelled)
        return false;
    if (e->raised != NULL || !e->io.keep)
        return true;
    if (e->request.shape == HN_ROW_BYTES)
        return e->copied >= e->request.chunk;
    return e->result != NULL && PyList_GET_SIZE(e->result) >= e->request.chunk;
}

void hn_copy_put_aside(hn_engine *e)
{
    const hn_io *io = &e->io;
    if (!io->data || !io->stopped || e->call.want != HN_WANT_DONE || e->call.stream == 0)
        return;
    if (hn_buf_bytes(&e->target->ahead, io->in.data + io->scan, io->in.len - io->scan) < 0)
        PyErr_WriteUnraisable(e->target->owner); /* what follows cannot be read, and is refused */
}
