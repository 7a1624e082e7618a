/* One operation on a session, as something that can be resumed. */
#include "engine/engine.h"

#include <errno.h>
#include <string.h>

#include "buf.h"
#include "core/core.h"
#include "core/fork.h"
#include "engine/batch.h"
#include "engine/copy.h"
#include "engine/describe.h"
#include "engine/items.h"
#include "engine/many.h"
#include "engine/rows.h"
#include "engine/step.h"
#include "engine/stream.h"
#include "error.h"

/* Engines to be used again, guarded by the GIL: about as many as operations run at one time. */
#define SPARES_MAX 32
#define SPARE_BUFFER_MAX (1u << 20)

static hn_engine *spares[SPARES_MAX];
static size_t spare_count;

/* In a forked child. */
static void forget_spares(void)
{
    spare_count = 0; /* not freed: malloc's lock may be held by a thread that is gone */
}

void hn_engine_ready(void)
{
    hn_at_fork(forget_spares);
}

hn_engine *hn_engine_new(hn_target *target)
{
    hn_engine *e;
    if (spare_count > 0) {
        e = spares[--spare_count];
    } else {
        e = calloc(1, sizeof *e);
        if (e == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
    }
    e->call.hooks_kept = HN_HOOKS_ALL;
    Py_INCREF(target->owner);
    e->target = target;
    return e;
}

static void trim(hn_buf *b)
{
    if (b->cap > SPARE_BUFFER_MAX)
        hn_buf_free(b);
    b->len = 0;
}

void hn_engine_free(hn_engine *e)
{
    Py_CLEAR(e->request.sql);
    Py_CLEAR(e->request.params);
    Py_CLEAR(e->request.columns);
    Py_CLEAR(e->request.into);
    Py_CLEAR(e->maker);
    Py_CLEAR(e->result);
    Py_CLEAR(e->raised);
    Py_CLEAR(e->refused);
    Py_CLEAR(e->timezone);
    hn_replay_clear(&e->rows);
    hn_declared_clear(&e->declared);
    if (e->description != NULL)
        hn_description_unref(e->description);
    e->description = NULL;
    e->plan_id = 0;
    e->round_open = e->cancelled = e->rows_stopped = e->row_refused = false;
    e->row_declares = e->rows_rewound = false;
    e->variant = NULL;
    hn_reading_clear(&e->reading);
    if (e->request.op == HN_OP_BATCH)
        hn_items_free(e);
    hn_variants_clear(&e->variants);
    e->redeclared = 0;
    e->row = 0;
    e->header_due = false;
    e->copied = 0;
    hn_copy_put_aside(e);
    e->requested_count = 0;
    e->requested_what = 0;
    e->need = HN_NEED_LOOK_UP;
    hn_io_reset(&e->io);
    trim(&e->io.in);
    trim(&e->io.ctl);
    trim(&e->io.notices);
    trim(&e->body);
    trim(&e->call.head);
    trim(&e->call.tail);
    trim(&e->call.out);
    PyObject *owner = e->target->owner;
    e->target = NULL;
    Py_DECREF(owner);
    if (spare_count < SPARES_MAX) {
        spares[spare_count++] = e;
        return;
    }
    hn_io_free(&e->io);
    hn_buf_free(&e->body);
    hn_declared_free(&e->declared);
    hn_reading_free(&e->reading);
    hn_buf_free(&e->call.head);
    hn_buf_free(&e->call.tail);
    hn_buf_free(&e->call.out);
    free(e);
}

int hn_engine_limit(const hn_target *target, hn_request *request, hn_time *deadline)
{
    if (target->deadline == 0)
        return 0;
    switch (request->op) {
    case HN_OP_COMMIT:
    case HN_OP_LEAVE:
    case HN_OP_FINALIZE: /* the core bounds a COMMIT, and leaves a rollback alone */
        request->flags |= HN_IN_DEADLINE;
        return 0;
    case HN_OP_STATEMENT:
    case HN_OP_MANY:
    case HN_OP_COPY_IN:
    case HN_OP_SCRIPT:
    case HN_OP_STREAM:
    case HN_OP_COPY_OUT:
    case HN_OP_FETCH:
    case HN_OP_BEGIN:
    case HN_OP_ENTER:
        break;
    default:
        return 0;
    }
    if (target->deadline >= *deadline)
        return 0;
    *deadline = target->deadline;
    request->timeout = target->deadline_secs;
    request->flags |= HN_IN_DEADLINE;
    if (hn_now() < target->deadline)
        return 0;
    char limit[32];
    (void)snprintf(limit, sizeof limit, "%.6g", target->deadline_secs);
    return hn_raise("QueryCanceled",
                    "deadline_secs=%s s of the scope has passed, so nothing was sent", limit);
}

static double seconds_left(const hn_target *target)
{
    hn_time left = target->deadline - hn_now();
    return left > 0 ? (double)left / 1e9 : 0;
}

int hn_engine_start(hn_engine *e, const hn_request *request, hn_time deadline)
{
    e->request = *request;
    e->deadline = deadline;
    Py_XINCREF(e->request.sql);
    Py_XINCREF(e->request.params);
    Py_XINCREF(e->request.columns);
    Py_XINCREF(e->request.into);
    uint32_t flags = request->flags;
    e->call.state = e->target->last_state; /* in case the core fails before it returns one */
    bool has_deadline = (flags & HN_IN_DEADLINE) != 0;
    e->call.timeout = has_deadline ? seconds_left(e->target) : request->timeout;
    e->call.grace_ms = 0;
    e->call.chunk = request->chunk;
    e->call.stream = request->stream;
    e->call.block = request->block;
    PyObject *hooks = e->target->on_commit;
    e->call.hooks = hooks == NULL ? 0 : PyList_GET_SIZE(hooks);
    if (request->op == HN_OP_STATEMENT || request->op == HN_OP_STREAM) {
        int guess = hn_describe_guess(e);
        if (guess < 0)
            return -1;
        flags |= (uint32_t)guess;
    } else {
        e->call.plan = 0;
        e->body.len = 0;
    }
    if (request->op == HN_OP_BATCH && hn_batch_start(e) < 0)
        return -1;
    const hn_codec *codec = e->target->database->catalogs.hooks;
    if (codec != NULL && hn_codec_has_registered(codec))
        flags |= HN_IN_REGISTERED;
    if (request->op == HN_OP_MANY) {
        if (hn_many_start(e) < 0)
            return -1;
        if (request->mode == HN_MODE_ROWS)
            flags |= HN_IN_RETURNING;
    }
    if (request->op == HN_OP_COPY_IN) {
        if (hn_many_start(e) < 0)
            return -1;
        if (request->columns != NULL)
            flags |= HN_IN_ENCODED;
    }
    if (request->op == HN_OP_COPY_OUT && request->shape != HN_ROW_BYTES) {
        flags |= HN_IN_ENCODED;
        e->header_due = true;
    }
    if (request->op == HN_OP_FETCH && hn_stream_resume(e) < 0)
        return -1;
    if (request->sql != NULL) {
        Py_ssize_t len;
        const char *sql = PyUnicode_AsUTF8AndSize(request->sql, &len);
        if (sql == NULL)
            return -1;
        e->call.sql = sql;
        e->call.sql_len = len;
    }
    hn_engine_step(e, request->op, flags);
    return 0;
}

static void begin_io(hn_engine *e)
{
    hn_engine_open_round(e);
    hn_io_send(&e->io, e->call.head.data, e->call.head.len);
    if (e->call.io_flags & HN_IO_BODY)
        hn_io_send(&e->io, e->body.data, e->body.len);
    hn_io_send(&e->io, e->call.tail.data, e->call.tail.len);
}

static hn_progress run_io(hn_engine *e, int block_ms)
{
    hn_io *io = &e->io;
    if (!e->round_open) {
        begin_io(e);
        if (io->result)
            Py_CLEAR(e->result);
    }
    hn_pumped pumped = hn_engine_pump(e, block_ms);
    hn_rows_decode(e);
    if (pumped == HN_PUMPED_ALL) {
        hn_engine_close_round(e, 0);
        return HN_ON;
    }
    if (hn_copy_is_full(e)) {
        io->stopped = true;
        hn_engine_close_round(e, HN_IN_PAUSED);
        return HN_ON;
    }
    if (pumped == HN_PUMPED_ROWS)
        io->events = 0;
    return hn_engine_needs_io(e);
}

static hn_progress begin_wait(hn_engine *e)
{
    e->need = HN_NEED_WAIT;
    e->need_fd = e->call.fd;
    e->need_events = (short)e->call.events;
    e->need_until = e->call.wait_ms < 0 ? HN_NEVER : hn_now() + e->call.wait_ms * HN_MS;
    return HN_NEEDS;
}

hn_progress hn_engine_advance(hn_engine *e, hn_wake wake, int block_ms)
{
    bool waited = e->call.want == HN_WANT_WAIT && e->need == HN_NEED_WAIT;
    hn_progress progress = HN_ON;
    e->need = HN_NEED_LOOK_UP;
    if (waited) {
        uint32_t late = wake == HN_WAKE_LATE ? HN_IN_LATE : 0;
        hn_engine_step(e, HN_OP_CONTINUE, late | (wake == HN_WAKE_READY ? 0 : HN_IN_TIMEOUT));
    }
    while (progress == HN_ON) {
        switch ((hn_want)e->call.want) {
        case HN_WANT_WAIT:
            return begin_wait(e);
        case HN_WANT_IO:
            progress = run_io(e, block_ms);
            break;
        case HN_WANT_BATCH:
            progress = hn_batch_feed(e, block_ms);
            break;
        case HN_WANT_ENCODE:
            if (e->request.op == HN_OP_BATCH)
                hn_items_select(e, (size_t)e->call.item);
            hn_describe_encode(e);
            break;
        case HN_WANT_TYPES:
            hn_describe_learn(e);
            break;
        case HN_WANT_ROWS:
            progress = hn_many_feed(e, block_ms);
            break;
        case HN_WANT_COPY:
            progress = hn_copy_feed(e, block_ms);
            break;
        case HN_WANT_DONE:
        case HN_WANT_FAIL:
        default:
            return HN_OVER;
        }
    }
    return progress;
}

void hn_engine_abandon(hn_engine *e, uint32_t in_flags)
{
    if (e->call.want == HN_WANT_DONE || e->call.want == HN_WANT_FAIL)
        return;
    if (e->round_open)
        e->call.sent = e->io.sent;
    hn_engine_step(e, HN_OP_ABANDON, HN_IN_CANCELLED | in_flags);
    e->call.want = HN_WANT_FAIL;
}

void hn_engine_expire(hn_engine *e)
{
    e->io.broken = true;
    e->io.error = ETIMEDOUT;
    hn_engine_close_round(e, HN_IN_TIMEOUT);
}

void hn_engine_cancel(hn_engine *e, int how)
{
    e->cancelled = true;
    if (hn_target_check(e->target) == 0) {
        hn_go.hypern_cancel(e->target->handle, how);
    } else { /* in a forked child there is nothing to wait for */
        hn_engine_raise(e);
        e->call.want = HN_WANT_FAIL;
    }
}

PyObject *hn_engine_result(hn_engine *e)
{
    if (e->raised != NULL) {
        hn_exception_raise(e->raised);
        e->raised = NULL;
        return NULL;
    }
    if (e->request.op == HN_OP_BATCH && e->call.want == HN_WANT_DONE)
        return hn_items_settle(e, (size_t)e->call.count);
    if (e->call.want != HN_WANT_DONE &&
        (e->request.mode != HN_MODE_DESCRIBE || e->result == NULL)) {
        hn_raise_core(e->call.out.data, e->call.out.len);
        return NULL;
    }
    PyObject *result = e->result;
    e->result = NULL;
    switch (e->request.mode) {
    case HN_MODE_COUNT:
        return PyLong_FromLongLong(e->call.count);
    case HN_MODE_ROWS:
    case HN_MODE_VALUES:
        return result != NULL ? result : PyList_New(0);
    case HN_MODE_RESULT:
        return hn_rows_result(e, result);
    case HN_MODE_CHUNK:
        return hn_stream_chunk(e, result);
    case HN_MODE_ONE:
    case HN_MODE_ONLY:
    case HN_MODE_VALUE:
        if (result == NULL)
            hn_raise_no_rows();
        return result;
    case HN_MODE_ONE_OR_NONE:
        return result != NULL ? result : Py_NewRef(Py_None);
    case HN_MODE_DESCRIBE:
        return result;
    case HN_MODE_NOTHING:
    default:
        return Py_NewRef(Py_None);
    }
}
