/* The rows of execute_many: encoded in batches from any iterable and sent while responses come in.
 *
 * Nothing is synced before the end, so that the rows are one unit for the core to commit or undo.
 * A batch is made only when the one before it has been sent whole: what is in the buffer can then
 * be dropped without cutting a message in two.
 *
 * A statement without parameters may be a COPY, to which any further message than Flush and Sync
 * would cost the connection: its first row is sent alone, and its response awaited before the next
 * one.
 *
 * A statement that was prepared before may be stale, which shows in the response to the first row.
 * The rows are kept until then, so that they can be encoded again for a fresh description.
 */
#include "engine/many.h"

#include "buf.h"
#include "engine/rows.h"
#include "engine/step.h"
#include "error.h"

#define BATCH_SIZE (128u * 1024)
#define BATCH_TIME (20 * HN_MS)

static const uint8_t execute_message[] = {'E', 0, 0, 0, 9, 0, 0, 0, 0, 0};
static const uint8_t flush_message[] = {'H', 0, 0, 0, 4};
static const uint8_t sync_message[] = {'S', 0, 0, 0, 4};

int hn_many_start(hn_engine *e)
{
    return hn_replay_begin(&e->rows, e->request.is_fed ? NULL : e->request.params);
}

int hn_many_take(hn_engine *e, PyObject *rows, bool more)
{
    return hn_replay_give(&e->rows, rows, more);
}

static bool lacks_rows(const hn_engine *e)
{
    return hn_replay_lacks_rows(&e->rows) && e->raised == NULL && !e->cancelled;
}

static int append_row(hn_engine *e, PyObject *params)
{
    hn_buf *batch = &e->body;
    const hn_buf *head = &e->variant->head;
    if (hn_buf_u8(batch, 'B') < 0)
        return -1;
    size_t at = batch->len;
    if (hn_buf_u32(batch, 0) < 0 || hn_buf_bytes(batch, head->data, head->len) < 0)
        return -1;
    int rc = hn_encode(e->variant->description, params, e->timezone, e->row, e->deadline, batch);
    if (rc == HN_NEED_TZ)
        return hn_raise("InterfaceError", "the server did not report its TimeZone setting");
    if (rc == HN_NEED_DECLARED) /* the value differs each time it is read */
        return hn_raise("InterfaceError", "row %zd has changed while it was encoded", e->row);
    if (rc < 0)
        return -1;
    hn_put_u32(batch->data + at, (uint32_t)(batch->len - at));
    if (e->request.mode == HN_MODE_ROWS && hn_rows_read_by(e, e->row, e->variant->description) < 0)
        return -1;
    e->row++;
    return hn_buf_bytes(batch, execute_message, sizeof execute_message);
}

/* The variant for a row: 0; HN_NEED_DECLARED with e->declared; -1 with an exception. */
static int resolve(hn_engine *e, PyObject *row, hn_variant **variant)
{
    *variant = &e->variants.list[0];
    if (!hn_description_is_open((*variant)->description))
        return 0;
    return hn_variants_resolve(&e->variants, row, &e->declared, variant);
}

int hn_many_look(hn_engine *e)
{
    if (hn_variants_put(&e->variants, &e->declared, e->description) == NULL)
        return -1;
    if (e->rows.held == NULL && (e->rows.held = hn_replay_next(&e->rows)) == NULL)
        return PyErr_Occurred() ? -1 : 0;
    hn_declared described = e->declared;
    if (hn_check_params(e->rows.held, -1) < 0) { /* reported when the row is sent */
        PyErr_Clear();
        return 0;
    }
    hn_variant *variant;
    e->declared = (hn_declared){0};
    int rc = resolve(e, e->rows.held, &variant);
    if (rc == 0 && !hn_declared_equal(&variant->declared, &described)) {
        rc = hn_declared_copy(&e->declared, &variant->declared); /* not what was requested: once
                                                                    more */
        if (rc == 0)
            rc = HN_NEED_DECLARED;
    }
    if (rc == 0) {
        hn_declared_free(&e->declared);
        e->declared = described;
    } else {
        hn_declared_free(&described);
    }
    return rc;
}

/* WANT_ROWS: the core has named the statement. 0 or -1. */
static int begin(hn_engine *e)
{
    PyObject *all = e->request.params;
    bool in_hand = !e->request.is_fed && (PyList_CheckExact(all) || PyTuple_CheckExact(all));
    const hn_buf *head = &e->call.head;
    e->variant = hn_variants_find(&e->variants, &e->declared);
    if (e->variant == NULL) {
        PyErr_SetString(PyExc_SystemError,
                        "the core requests rows of a statement that it has not described");
        return -1;
    }
    e->variant->head.len = 0;
    if (hn_buf_bytes(&e->variant->head, head->data, head->len) < 0)
        return -1;
    if (e->rows_rewound) {
        Py_CLEAR(e->raised); /* of a row that was refused for the description before */
        e->rows_stopped = e->row_refused = e->rows_rewound = false;
    }
    hn_replay_stop_keeping(&e->rows);
    if (e->call.count < 0) /* the statement cannot be stale */
        return 0;
    return hn_replay_start_keeping(&e->rows, in_hand ? all : NULL);
}

/* The rows are kept until the server has accepted the first of them. */
static void look_at_kept(hn_engine *e)
{
    if (e->io.binds > e->call.count)
        hn_replay_stop_keeping(&e->rows);
}

/* Goes back to the first row. 0 or -1. */
static int rewind_rows(hn_engine *e)
{
    hn_variants_clear(&e->variants);
    e->variant = NULL;
    e->row = 0;
    hn_reading_clear(&e->reading);
    Py_CLEAR(e->result);
    e->rows_rewound = true;
    return hn_replay_rewind(&e->rows);
}

/* The flags of the round for the core. Where it may need all rows once more, they are ready. */
static uint32_t outcome(hn_engine *e)
{
    bool fine = !e->io.erred && e->raised == NULL && !e->rows_stopped;
    /* A result that cannot be read: the rows are not committed yet. */
    bool is_unread = e->request.mode == HN_MODE_ROWS && e->raised != NULL;
    uint32_t flags = (e->rows_stopped || is_unread) && !e->io.erred ? HN_IN_CANCELLED : 0;
    if (e->row_refused)
        flags |= HN_IN_REPARSE;
    if (e->row_declares && fine)
        return flags | HN_IN_DECLARED;
    if (e->rows.kept != NULL && !e->cancelled && (e->raised == NULL || e->row_refused)) {
        if (rewind_rows(e) == 0)
            return flags | HN_IN_KEPT;
        hn_engine_raise(e);
    }
    return flags;
}

/* Whether a Bind for another variant needs no Parse before it: both statements have names. */
static bool can_switch(const hn_variant *from, const hn_variant *to)
{
    enum { NO_NAMES = 2 };
    return from == to || (from->head.len > NO_NAMES && to->head.len > NO_NAMES);
}

/* Takes a row: 1; 0 if it needs types declared for which there is no description yet; -1 with an
 * exception. */
static int take_row(hn_engine *e, PyObject *row)
{
    hn_variant *variant;
    int rc = hn_check_params(row, e->row) < 0 ? -1 : resolve(e, row, &variant);
    if (rc < 0) {
        /* The core may have all rows sent anew, for which an iterator does not give it again. */
        hn_replay_hold(&e->rows, row);
        return -1;
    }
    if (rc == 0 && !can_switch(e->variant, variant)) {
        rc = HN_NEED_DECLARED;
        if (hn_declared_copy(&e->declared, &variant->declared) < 0)
            return -1;
    }
    if (rc == HN_NEED_DECLARED) {
        e->row_declares = true;
        hn_replay_hold(&e->rows, row);
        return 0;
    }
    e->variant = variant;
    return hn_replay_keep(&e->rows, row) < 0 || append_row(e, row) < 0 ? -1 : 1;
}

/* How many commands precede the rows of the round. */
static int64_t commands_ahead(const hn_engine *e)
{
    return e->call.count < 0 ? ~e->call.count : e->call.count;
}

/* Encodes the next batch: size_max bytes and the rest of the last row, or what an iterable gives in
 * BATCH_TIME. Signals and the caller's time limit are checked between two batches. 1 if there may
 * be more; 0 if that was the last row, or the last one before a row that needs other types
 * declared; -1 with an exception. */
static int fill_batch(hn_engine *e, size_t size_max)
{
    bool is_at_hand = e->rows.left != NULL && Py_IS_TYPE(e->rows.left, &PyListIter_Type);
    hn_time until = is_at_hand ? HN_NEVER : hn_now() + BATCH_TIME;
    e->body.len = 0;
    e->row_declares = false;
    while (e->body.len < size_max && (is_at_hand || e->body.len == 0 || hn_now() < until)) {
        PyObject *row = hn_replay_next(&e->rows);
        if (row == NULL)
            return PyErr_Occurred() ? -1 : e->rows.to_come;
        int rc = take_row(e, row);
        if (hn_engine_is_late(e))
            rc = -1;
        else if (rc < 0)
            e->row_refused = PyErr_ExceptionMatches(PyExc_Exception) != 0;
        Py_DECREF(row);
        if (rc <= 0)
            return rc;
    }
    return 1;
}

/* Ends the rows: what has been sent is to be undone. */
static void stop(hn_engine *e)
{
    e->io.feeding = false;
    e->rows_stopped = true;
    hn_io_send(&e->io, sync_message, sizeof sync_message);
}

static void send_more(hn_engine *e)
{
    /* Cancelled, the server may be waiting for rows, with nothing to cancel: the core reports
     * it. */
    if (e->io.erred || e->raised != NULL || e->cancelled) {
        stop(e);
        return;
    }
    look_at_kept(e);
    bool first = e->row == 0 && hn_description_nparams(e->description) == 0;
    int more = fill_batch(e, first ? 1 : BATCH_SIZE);
    if (first && more > 0) {
        e->io.completed_min = commands_ahead(e) + 1;
    }
    if (more < 0) {
        hn_engine_raise(e);
        stop(e);
        return;
    }
    hn_io_send(&e->io, e->body.data, e->body.len);
    if (more != 0 && (first || e->rows.kept != NULL)) /* the server may hold the first row's
                                                         response back */
        hn_io_send(&e->io, flush_message, sizeof flush_message);
    if (more == 0) {
        if (e->row_declares)
            hn_io_send(&e->io, sync_message, sizeof sync_message);
        else
            hn_io_send(&e->io, e->call.tail.data, e->call.tail.len);
        e->io.feeding = false;
    }
}

/* Once for each text: rows that execute_many returns are not returned to its caller. */
static void log_dropped(PyObject *sql)
{
    PyObject *module = hn_errors_module();
    PyObject *none = module == NULL ? NULL : PyObject_CallMethod(module, "rows_dropped", "O", sql);
    if (none == NULL)
        PyErr_WriteUnraisable(sql);
    Py_XDECREF(none);
}

hn_progress hn_many_feed(hn_engine *e, int block_ms)
{
    hn_io *io = &e->io;
    if (!e->round_open && lacks_rows(e)) {
        e->need = HN_NEED_ROWS;
        return HN_NEEDS;
    }
    if (!e->round_open) {
        if (begin(e) < 0)
            hn_engine_raise(e);
        hn_engine_open_round(e);
        io->zs_left = 1;
        io->frames_max = INT64_MAX;
        io->feeding = io->brief = true;
        io->described = e->call.described;
        io->keep = io->marks = e->request.mode == HN_MODE_ROWS && e->raised == NULL;
        e->reading.announced = e->call.described;
        hn_reading_begin(&e->reading, e->row - (Py_ssize_t)commands_ahead(e));
        hn_io_send(io, e->call.out.data, e->call.out.len);
        send_more(e);
    }
    hn_pumped pumped = hn_engine_pump(e, block_ms);
    hn_rows_decode(e);
    switch (pumped) {
    case HN_PUMPED_SENT:
        if (lacks_rows(e) && !io->erred) {
            e->need = HN_NEED_ROWS;
            return HN_NEEDS;
        }
        send_more(e);
        io->events = 0;
        return hn_engine_needs_io(e);
    case HN_PUMPED_ALL:
        if (io->rows > 0 && e->request.mode == HN_MODE_COUNT)
            log_dropped(e->request.sql);
        look_at_kept(e);
        hn_engine_close_round(e, outcome(e));
        if (!e->row_declares)
            return HN_ON;
        /* Rows of changing types make many short rounds, none of which may need to wait. */
        e->need = HN_NEED_LOOK_UP;
        return HN_NEEDS;
    case HN_PUMPED_ROWS:
        io->events = 0;
        return hn_engine_needs_io(e);
    case HN_PUMPED_WAIT:
    default:
        return hn_engine_needs_io(e);
    }
}
