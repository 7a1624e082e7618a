/* The rows of execute_many: encoded in batches from any iterable and sent while answers come in.
 *
 * Nothing is synced before the end, so that the rows are one unit for the core to commit or undo.
 * A batch is made only when the one before it has been sent whole: what is in the buffer can then
 * be dropped without cutting a message in two.
 *
 * A statement without parameters may be a COPY, to which any further message than Flush and Sync would
 * cost the connection: its first row is sent alone, and answered before the next one.
 *
 * A statement that was prepared before may be stale, which the first row's answer tells. The rows
 * are kept until then, so that they can be encoded anew for a fresh description.
 */
#include "engine/many.h"

#include "buf.h"
#include "engine/describe.h"
#include "error.h"

#define BATCH_SIZE (128u * 1024)

static const uint8_t execute_message[] = {'E', 0, 0, 0, 9, 0, 0, 0, 0, 0};
static const uint8_t flush_message[] = {'H', 0, 0, 0, 4};
static const uint8_t sync_message[] = {'S', 0, 0, 0, 4};

int hn_many_start(hn_engine *e)
{
    e->rows_to_come = e->request.is_fed;
    if (!e->request.is_fed)
        e->rows_left = PyObject_GetIter(e->request.params);
    return e->rows_left == NULL && !e->request.is_fed ? -1 : 0;
}

int hn_many_take(hn_engine *e, PyObject *rows, bool more)
{
    e->rows_to_come = more;
    Py_XSETREF(e->rows_left, PyObject_GetIter(rows));
    return e->rows_left == NULL ? -1 : 0;
}

static bool lacks_rows(const hn_engine *e)
{
    bool none = e->rows_left == NULL && e->rows_anew == NULL && e->row_held == NULL;
    return none && e->rows_to_come && e->raised == NULL && !e->cancelled;
}

/* 0, HN_NEED_DECLARED with the batch as it was, or -1 with an exception. */
static int append_row(hn_engine *e, PyObject *params)
{
    hn_buf *batch = &e->body;
    size_t start = batch->len;
    if (hn_check_params(params, e->row) < 0 || hn_buf_u8(batch, 'B') < 0)
        return -1;
    size_t at = batch->len;
    if (hn_buf_u32(batch, 0) < 0 ||
        hn_buf_bytes(batch, e->call.head.data, e->call.head.len) < 0)
        return -1;
    int rc = hn_encode(e->plan, params, e->timezone, e->row, batch);
    if (rc == HN_NEED_TZ)
        return hn_raise("InterfaceError", "the server did not report its TimeZone setting");
    if (rc == HN_NEED_DECLARED)
        batch->len = start;
    if (rc != 0)
        return rc;
    e->redeclared = 0;
    hn_put_u32(batch->data + at, (uint32_t)(batch->len - at));
    e->row++;
    return hn_buf_bytes(batch, execute_message, sizeof execute_message);
}

/* The next row, or NULL: there is none for now, or an exception is set. */
static PyObject *next_row(hn_engine *e)
{
    if (e->rows_anew != NULL) {
        PyObject *row = PyIter_Next(e->rows_anew);
        if (row != NULL || PyErr_Occurred())
            return row;
        Py_CLEAR(e->rows_anew);
    }
    PyObject *row = e->row_held;
    if (row != NULL) {
        e->row_held = NULL;
        return row;
    }
    row = e->rows_left == NULL ? NULL : PyIter_Next(e->rows_left);
    if (row == NULL)
        Py_CLEAR(e->rows_left);
    return row;
}

/* The row that is next, borrowed; NULL: none is known, or an exception is set. Where all are to be sent
 * anew, begin() has yet to see to it. */
static PyObject *look_at_next(hn_engine *e)
{
    if (e->rows_kept != NULL && !e->row_declares && PySequence_Fast_GET_SIZE(e->rows_kept) > 0)
        return PySequence_Fast_GET_ITEM(e->rows_kept, 0);
    if (e->row_held == NULL)
        e->row_held = next_row(e);
    return e->row_held;
}

int hn_many_look(hn_engine *e)
{
    if (!hn_plan_is_open(e->plan))
        return 0;
    PyObject *row = look_at_next(e);
    if (row == NULL)
        return PyErr_Occurred() ? -1 : 0;
    if (hn_check_params(row, -1) < 0) { /* which is said when the row is sent */
        PyErr_Clear();
        return 0;
    }
    Py_INCREF(row);
    int rc = hn_declared_types(e->plan, row, &e->declared);
    Py_DECREF(row);
    return rc > 0 ? hn_describe_count(e) : rc;
}

/* Before the first row, the first row once more, or the row that wants other types declared. 0 or
 * -1. */
static int begin(hn_engine *e)
{
    PyObject *all = e->request.params;
    bool in_hand = !e->request.is_fed && (PyList_CheckExact(all) || PyTuple_CheckExact(all));
    if (e->call.count == HN_ROWS_GO_ON)
        Py_CLEAR(e->rows_kept);
    e->row_declares = false;
    if (e->rows_kept != NULL) {
        Py_XSETREF(e->rows_anew, PyObject_GetIter(e->rows_kept));
        Py_CLEAR(e->rows_kept);
        if (e->rows_anew == NULL)
            return -1;
        if (in_hand) {
            Py_CLEAR(e->rows_left);
            Py_CLEAR(e->row_held);
        }
        Py_CLEAR(e->raised);
        e->rows_stopped = e->row_refused = false;
        e->row = 0;
    }
    if (e->call.count < 0) /* the statement cannot be stale */
        return 0;
    e->rows_kept = in_hand ? Py_NewRef(all) : PyList_New(0);
    return e->rows_kept == NULL ? -1 : 0;
}

/* The rows are given up once the server has accepted the first of them. */
static void look_at_kept(hn_engine *e)
{
    if (e->rows_kept != NULL && e->io.binds > e->call.count)
        Py_CLEAR(e->rows_kept);
}

static int keep_row(const hn_engine *e, PyObject *row)
{
    if (e->rows_kept == NULL || e->rows_kept == e->request.params)
        return 0;
    return PyList_Append(e->rows_kept, row);
}

/* It is not sent yet, and comes first when it can be: where the rows are kept, after those. */
static int hold_row(hn_engine *e, PyObject *row)
{
    if (hn_describe_declare(e, row) < 0)
        return -1;
    e->row_held = Py_NewRef(row);
    e->row_declares = true;
    if (e->rows_kept == NULL || e->rows_kept == e->request.params)
        return 0;
    Py_ssize_t n = PyList_GET_SIZE(e->rows_kept);
    return PyList_SetSlice(e->rows_kept, n - 1, n, NULL);
}

static uint32_t outcome(const hn_engine *e)
{
    uint32_t flags = e->rows_stopped && !e->io.erred ? HN_IN_CANCELLED : 0;
    if (e->row_refused)
        flags |= HN_IN_REPARSE;
    if (e->rows_kept != NULL && !e->cancelled && (e->raised == NULL || e->row_refused))
        flags |= HN_IN_KEPT;
    if (e->row_declares && !e->rows_stopped)
        flags |= HN_IN_DECLARED;
    return flags;
}

/* Encode the next batch, of size_max bytes and the last row's rest. 1: there may be more; 0: that was the
 * last, or the last before one that wants other types declared; -1 with an exception. */
static int fill_batch(hn_engine *e, size_t size_max)
{
    e->body.len = 0;
    while (e->body.len < size_max) {
        PyObject *params = next_row(e);
        if (params == NULL) {
            if (PyErr_Occurred())
                return -1;
            return e->rows_to_come;
        }
        int rc = keep_row(e, params);
        if (rc == 0 && (rc = append_row(e, params)) < 0)
            e->row_refused = PyErr_ExceptionMatches(PyExc_Exception) != 0;
        bool declares = rc == HN_NEED_DECLARED;
        if (declares)
            rc = hold_row(e, params);
        Py_DECREF(params);
        if (rc < 0)
            return -1;
        if (declares)
            return 0;
    }
    return 1;
}

/* No more rows: what has been sent is to be undone. */
static void stop(hn_engine *e)
{
    e->io.feeding = false;
    e->rows_stopped = true;
    hn_io_send(&e->io, sync_message, sizeof sync_message);
}

static void send_more(hn_engine *e)
{
    /* Cancelled, the server may be waiting for us, with nothing to cancel: the core says so. */
    if (e->io.erred || e->raised != NULL || e->cancelled) {
        stop(e);
        return;
    }
    look_at_kept(e);
    bool first = e->row == 0 && hn_plan_nparams(e->plan) == 0;
    int more = fill_batch(e, first ? 1 : BATCH_SIZE);
    if (first && more > 0) {
        int64_t ahead = e->call.count < 0 ? ~e->call.count : e->call.count;
        e->io.completed_min = ahead + 1;
    }
    if (more < 0) {
        hn_engine_raise(e);
        stop(e);
        return;
    }
    hn_io_send(&e->io, e->body.data, e->body.len);
    if (more != 0 && (first || e->rows_kept != NULL)) /* the server may hold the first row's answer back */
        hn_io_send(&e->io, flush_message, sizeof flush_message);
    if (more == 0) {
        if (e->row_declares)
            hn_io_send(&e->io, sync_message, sizeof sync_message);
        else
            hn_io_send(&e->io, e->call.tail.data, e->call.tail.len);
        e->io.feeding = false;
    }
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
        hn_io_send(io, e->call.out.data, e->call.out.len);
        send_more(e);
    }
    switch (hn_engine_pump(e, block_ms)) {
    case HN_PUMPED_SENT:
        if (lacks_rows(e) && !io->erred) {
            e->need = HN_NEED_ROWS;
            return HN_NEEDS;
        }
        send_more(e);
        io->events = 0;
        return hn_engine_needs_io(e);
    case HN_PUMPED_ALL:
        look_at_kept(e);
        hn_engine_close_round(e, outcome(e));
        return HN_ON;
    case HN_PUMPED_ROWS:
    case HN_PUMPED_WAIT:
    default:
        return hn_engine_needs_io(e);
    }
}
