/* Several statements in one write.
 *
 * The core lays out what goes around the bodies (head), and where each of them is to be inserted
 * (out). Short pieces are joined into parts of some 128 KB; a long body is sent from where it is.
 * Each part is made when the one before has been sent whole, and responses are received meanwhile,
 * so that neither side waits for the other to read.
 */
#include "engine/batch.h"

#include <string.h>

#include "buf.h"
#include "engine/describe.h"
#include "engine/items.h"
#include "engine/rows.h"
#include "engine/step.h"
#include "error.h"

#define PART_SIZE ((size_t)128 * 1024)
#define LONG_BODY ((size_t)32 * 1024) /* not copied into a part */

/* Of a portal that there never is: the server fails, and what has been sent is undone. */
static const uint8_t fail_message[] = {'E', 0,   0,   0,   21,  'h', 'y', 'p', 'e', 'r', 'n',
                                       '_', 'a', 'b', 'o', 'r', 't', 0,   0,   0,   0,   0};
static const uint8_t sync_message[] = {'S', 0, 0, 0, 4};

int hn_batch_start(hn_engine *e)
{
    if (hn_items_make(e) < 0)
        return -1;
    hn_batch *batch = &e->batch;
    for (size_t i = 0; i < batch->n; i++) {
        hn_items_select(e, i);
        int guess = hn_describe_guess(e);
        if (guess < 0) {
            hn_items_blame(e);
            return -1;
        }
        Py_ssize_t len;
        const char *sql = PyUnicode_AsUTF8AndSize(e->request.sql, &len);
        if (sql == NULL)
            return -1;
        uint32_t settings = e->description == NULL ? 0 : hn_description_settings(e->description);
        batch->calls[i] = (hn_call_item){.sql = sql,
                                         .sql_len = len,
                                         .declared = e->declared.oids,
                                         .ndeclared = (int64_t)e->declared.n,
                                         .plan = e->call.plan,
                                         .body_len = (int64_t)e->body.len,
                                         .in_flags = (uint32_t)guess | settings};
    }
    hn_items_put_back(e);
    e->call.items = batch->calls;
    e->call.nitems = (int64_t)batch->n;
    return 0;
}

/* Where the core has cut head for a body. */
static const hn_cut *cuts(const hn_engine *e, size_t *n)
{
    *n = e->call.out.len / sizeof(hn_cut);
    return (const hn_cut *)(const void *)e->call.out.data;
}

static const hn_buf *body_of(const hn_engine *e, const hn_cut *cut)
{
    /* The engine has the fields of one item. */
    return cut->item == e->batch.at ? &e->body : &e->batch.items[cut->item].body;
}

/* The next part: 1 if there is more, 0 if that was the last, -1 with an exception. */
static int send_part(hn_engine *e)
{
    hn_batch *batch = &e->batch;
    const hn_buf *head = &e->call.head;
    size_t n;
    const hn_cut *all = cuts(e, &n);
    batch->out.len = 0;
    while (batch->next < n && batch->out.len < PART_SIZE) {
        const hn_cut *cut = &all[batch->next];
        size_t from = batch->next == 0 ? 0 : all[batch->next - 1].at;
        if (hn_buf_bytes(&batch->out, head->data + from, cut->at - from) < 0)
            return -1;
        batch->next++;
        const hn_buf *body = body_of(e, cut);
        if (body->len > LONG_BODY) {
            hn_io_send(&e->io, batch->out.data, batch->out.len);
            hn_io_send(&e->io, body->data, body->len);
            return 1;
        }
        if (hn_buf_bytes(&batch->out, body->data, body->len) < 0)
            return -1;
    }
    bool is_last = batch->next == n;
    if (is_last) {
        size_t from = n == 0 ? 0 : all[n - 1].at;
        if (hn_buf_bytes(&batch->out, head->data + from, head->len - from) < 0)
            return -1;
    }
    hn_io_send(&e->io, batch->out.data, batch->out.len);
    return !is_last;
}

static void send_more(hn_engine *e)
{
    hn_io *io = &e->io;
    int more = 0;
    if (io->erred) { /* the server skips the rest */
        hn_io_send(io, sync_message, sizeof sync_message);
    } else if (e->raised != NULL || e->cancelled) {
        e->rows_stopped = true;
    } else {
        more = send_part(e);
        if (more < 0) {
            hn_engine_raise(e);
            e->rows_stopped = true;
        }
    }
    if (e->rows_stopped && !io->erred) {
        /* A Sync alone would commit what has been sent. */
        hn_io_send(io, fail_message, sizeof fail_message);
        hn_io_send(io, sync_message, sizeof sync_message);
    }
    io->feeding = more > 0;
}

static void begin(hn_engine *e)
{
    hn_io *io = &e->io;
    size_t n;
    const hn_cut *all = cuts(e, &n);
    hn_engine_open_round(e);
    io->zs_left = e->call.zs;
    io->frames_max = INT64_MAX;
    io->keep = io->marks = e->raised == NULL;
    Py_ssize_t first = n == 0 ? 0 : (Py_ssize_t)all[0].item;
    hn_reading_begin(&e->reading, first - (Py_ssize_t)e->call.count);
    hn_rows_begin_item(e);
    e->batch.next = 0;
    send_more(e);
}

hn_progress hn_batch_feed(hn_engine *e, int block_ms)
{
    if (!e->round_open)
        begin(e);
    hn_pumped pumped = hn_engine_pump(e, block_ms);
    hn_rows_decode(e);
    switch (pumped) {
    case HN_PUMPED_SENT:
        send_more(e);
        e->io.events = 0;
        return hn_engine_needs_io(e);
    case HN_PUMPED_ALL:
        hn_engine_close_round(e, e->rows_stopped ? HN_IN_CANCELLED : 0);
        return HN_ON;
    case HN_PUMPED_ROWS:
        e->io.events = 0;
        return hn_engine_needs_io(e);
    case HN_PUMPED_WAIT:
    default:
        return hn_engine_needs_io(e);
    }
}
