/* One operation on a session, as something that can be resumed. */
#include "engine/engine.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "buf.h"
#include "core/core.h"
#include "engine/describe.h"
#include "engine/many.h"
#include "engine/queue.h"
#include "engine/rows.h"
#include "engine/stream.h"
#include "error.h"
#include "session/session.h"

/* Engines to be used again, guarded by the GIL: about as many as operations run at one time. */
#define SPARES_MAX 32
#define SPARE_BUFFER_MAX (1u << 20)
#define LONG_BODY (1u << 20) /* what takes long to encode and send */

static hn_engine *spares[SPARES_MAX];
static size_t spare_count;

void hn_engine_forget_spares(void)
{
    spare_count = 0; /* not freed: malloc's lock may be held by a thread that is gone */
}

hn_engine *hn_engine_new(hn_session *session)
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
    e->call.woke = -1;
    e->call.hooks_kept = HN_HOOKS_ALL;
    Py_INCREF(session);
    e->session = session;
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
    Py_CLEAR(e->result);
    Py_CLEAR(e->raised);
    Py_CLEAR(e->refused);
    Py_CLEAR(e->timezone);
    Py_CLEAR(e->rows_left);
    Py_CLEAR(e->rows_kept);
    Py_CLEAR(e->rows_anew);
    Py_CLEAR(e->row_held);
    hn_declared_clear(&e->declared);
    if (e->plan != NULL)
        hn_plan_unref(e->plan);
    e->plan = NULL;
    e->plan_id = 0;
    e->round_open = e->cancelled = e->rows_stopped = e->rows_to_come = e->row_refused = false;
    e->row_declares = e->rows_rewound = false;
    e->variant = NULL;
    hn_variants_clear(&e->variants);
    e->redeclared = 0;
    e->row = 0;
    e->asked_count = 0;
    e->call.home = HN_HOME_NONE;
    e->need = HN_NEED_LOOK_UP;
    hn_queue_awake(e);
    hn_io_reset(&e->io);
    trim(&e->io.in);
    trim(&e->io.ctl);
    trim(&e->body);
    trim(&e->call.head);
    trim(&e->call.tail);
    trim(&e->call.out);
    Py_CLEAR(e->session);
    if (spare_count < SPARES_MAX) {
        spares[spare_count++] = e;
        return;
    }
    hn_io_free(&e->io);
    hn_buf_free(&e->body);
    hn_declared_free(&e->declared);
    hn_buf_free(&e->call.head);
    hn_buf_free(&e->call.tail);
    hn_buf_free(&e->call.out);
    hn_queue_free(e);
    free(e);
}

static void begin_step(hn_engine *e)
{
    hn_queue_remove(e);
    e->call.want = HN_WANT_FAIL;
    e->call.woke = -1;
    e->round_open = false;
    e->bound = HN_NEVER;
}

/* Of an engine whose session is this process's. */
static void step(hn_engine *e, hn_op op, uint32_t in_flags)
{
    hn_call *call = &e->call;
    call->op = op;
    call->in_flags = in_flags | (e->plan == NULL ? 0 : hn_plan_settings(e->plan));
    call->body_len = (int64_t)e->body.len;
    call->out.len = 0;
    call->declared = e->declared.oids;
    call->ndeclared = (int64_t)e->declared.n;
    hn_go.hypern_step(e->session->handle, call);
    call->sql = NULL;
    call->sql_len = 0;
    call->ctl = call->extra = NULL;
    call->ctl_len = call->extra_len = 0;
    call->rows = call->binds = call->sent = 0;
    call->io_errno = 0;
    if (call->want == HN_WANT_WAIT)
        hn_queue_add(e);
    if (call->woke >= 0 && call->home == HN_HOME_THREADS)
        hn_queue_told(call->woke);
}

void hn_engine_step(hn_engine *e, hn_op op, uint32_t in_flags)
{
    begin_step(e);
    /* A callable of the user's may have forked, and this be the child: the core is the parent's. */
    if (hn_session_check(e->session) < 0)
        hn_engine_raise(e);
    else
        step(e, op, in_flags);
}

void hn_engine_raise(hn_engine *e)
{
    PyObject *exception = hn_exception_take();
    if (e->raised == NULL)
        e->raised = exception;
    else
        Py_XDECREF(exception);
    e->io.keep = false; /* rows that nobody will see are drained undecoded */
}

bool hn_engine_is_late(const hn_engine *e)
{
    if (e->deadline == HN_NEVER || (e->body.len < LONG_BODY && !PyErr_Occurred()) ||
        hn_now() < e->deadline)
        return false;
    PyErr_Clear();
    char limit[32];
    snprintf(limit, sizeof limit, "%.6g", e->request.timeout);
    hn_raise("QueryCanceled", "timeout=%s s passed while the parameters were encoded, before they were sent",
             limit);
    /* Inside a transaction there is more to be done again than this statement. */
    bool is_alone = e->request.op == HN_OP_STATEMENT && (e->call.state & HN_FLAG_IN_TRANSACTION) == 0;
    PyObject *exception = hn_exception_take();
    if (is_alone && PyObject_SetAttrString(exception, "safe_to_retry", Py_True) < 0)
        PyErr_WriteUnraisable(exception);
    hn_exception_raise(exception);
    return true;
}

int hn_engine_start(hn_engine *e, const hn_request *request, hn_time deadline)
{
    e->request = *request;
    e->deadline = deadline;
    Py_XINCREF(e->request.sql);
    Py_XINCREF(e->request.params);
    uint32_t flags = request->flags;
    e->call.state = e->session->last_state; /* in case the core fails before it answers */
    e->call.timeout = request->timeout;
    e->call.grace_ms = 0;
    e->call.chunk = request->chunk;
    e->call.stream = request->stream;
    e->call.block = request->block;
    PyObject *hooks = e->session->on_commit;
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
    const hn_codec *codec = e->session->pool->catalogs.hooks;
    if (codec != NULL && hn_codec_has_registered(codec))
        flags |= HN_IN_REGISTERED;
    if (request->op == HN_OP_MANY && hn_many_start(e) < 0)
        return -1;
    if (request->op == HN_OP_FETCH)
        hn_stream_resume(e);
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

static bool wants_rows(const hn_engine *e)
{
    return e->request.mode >= HN_MODE_ROWS && e->raised == NULL;
}

void hn_engine_open_round(hn_engine *e)
{
    hn_call *call = &e->call;
    hn_io *io = &e->io;
    hn_io_begin(io, e->session->handle, call->fd, (call->io_flags & HN_IO_TLS) != 0, call->zs);
    io->local = (call->io_flags & HN_IO_LOCAL) != 0;
    io->raw = (call->io_flags & HN_IO_RAW) != 0;
    io->result = (call->io_flags & HN_IO_ROWS) != 0;
    io->guards = call->guards;
    if (e->request.op == HN_OP_SCRIPT)
        io->frames_max = INT64_MAX; /* one for each statement */
    io->keep = io->result && wants_rows(e);
    if (io->result && e->request.mode == HN_MODE_CHUNK)
        io->rows_max = e->request.chunk;
    if (call->limit_ms > 0)
        e->bound = hn_now() + call->limit_ms * HN_MS;
    e->round_open = true;
}

void hn_engine_close_round(hn_engine *e, uint32_t in_flags)
{
    hn_call *call = &e->call;
    hn_io *io = &e->io;
    call->ctl = io->ctl.data;
    call->ctl_len = (int64_t)io->ctl.len;
    call->rows = io->rows;
    call->binds = io->binds;
    call->sent = io->sent;
    if (io->broken) {
        in_flags |= HN_IN_EOF;
        call->io_errno = io->error;
    } else if (!io->stopped && io->in.len > io->scan) {
        /* Beyond the end: the core's, for the connection's next use. After an early end, instead,
         * it is the next round's and stays here. */
        call->extra = io->in.data + io->scan;
        call->extra_len = (int64_t)(io->in.len - io->scan);
        io->in.len = io->scan;
    }
    if (e->raised != NULL && e->request.mode == HN_MODE_CHUNK)
        in_flags |= HN_IN_CANCELLED; /* nobody will learn the stream's number */
    hn_engine_step(e, HN_OP_CONTINUE, in_flags);
}

bool hn_engine_is_parents(const hn_engine *e)
{
    return e->session->generation != hn_core_generation();
}

hn_pumped hn_engine_pump(hn_engine *e, int block_ms)
{
    hn_pumped pumped;
    if (hn_engine_is_parents(e)) {
        /* The descriptor is closed here, and its number perhaps another file's. The next step raises. */
        e->io.broken = true;
        return HN_PUMPED_ALL;
    }
    Py_BEGIN_ALLOW_THREADS
    pumped = hn_io_pump(&e->io, block_ms);
    Py_END_ALLOW_THREADS
    return pumped;
}

hn_progress hn_engine_needs_io(hn_engine *e)
{
    e->need = e->io.events == 0 ? HN_NEED_LOOK_UP : HN_NEED_IO;
    e->need_fd = e->io.fd;
    e->need_events = e->io.events;
    return HN_NEEDS;
}

static void begin_io(hn_engine *e)
{
    hn_engine_open_round(e);
    hn_io_send(&e->io, e->call.head.data, e->call.head.len);
    if (e->call.io_flags & HN_IO_BODY)
        hn_io_send(&e->io, e->body.data, e->body.len);
    hn_io_send(&e->io, e->call.tail.data, e->call.tail.len);
}

bool hn_engine_told(hn_engine *e)
{
    begin_step(e);
    e->need = HN_NEED_LOOK_UP;
    step(e, HN_OP_CONTINUE, 0);
    if (e->call.want != HN_WANT_IO)
        return false;
    begin_io(e);
    return hn_io_pump(&e->io, 0) == HN_PUMPED_WAIT && e->io.events == POLLIN;
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

/* The password goes from the callable to the core; nothing here keeps it. */
static void ask_password(hn_engine *e)
{
    PyObject *callable = e->session->pool->password;
    PyObject *password = NULL;
    Py_ssize_t len = 0;
    const char *text = NULL;
    if (callable == NULL)
        hn_raise("InterfaceError", "the server's password is to be had from a callable, "
                                   "and none is configured");
    else
        password = PyObject_CallNoArgs(callable);
    if (password != NULL && !PyUnicode_Check(password))
        PyErr_Format(PyExc_TypeError, "the password callable must return a str, not %s",
                     Py_TYPE(password)->tp_name);
    else if (password != NULL)
        text = PyUnicode_AsUTF8AndSize(password, &len);
    if (text == NULL) {
        Py_XDECREF(password);
        hn_engine_raise(e);
        hn_engine_step(e, HN_OP_ABANDON, HN_IN_CANCELLED);
        return;
    }
    e->call.sql = text;
    e->call.sql_len = len;
    hn_engine_step(e, HN_OP_CONTINUE, 0);
    Py_DECREF(password);
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
        case HN_WANT_ENCODE:
            hn_describe_encode(e);
            break;
        case HN_WANT_TYPES:
            hn_describe_learn(e);
            break;
        case HN_WANT_ROWS:
            progress = hn_many_feed(e, block_ms);
            break;
        case HN_WANT_PASSWORD:
            ask_password(e);
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
    if (hn_session_check(e->session) == 0) {
        hn_go.hypern_cancel(e->session->handle, how);
    } else { /* in a forked child: there is nothing to wait for */
        hn_engine_raise(e);
        e->call.want = HN_WANT_FAIL;
    }
}

/* Each of these two writes one line to the log for each pool. */
static void log_shared(hn_pool *pool)
{
    pool->told_shared = true;
    PyObject *module = hn_errors_module();
    PyObject *none =
        module == NULL ? NULL : PyObject_CallMethod(module, "pooler_found", "O", pool->alias);
    if (none == NULL)
        PyErr_WriteUnraisable(pool->alias);
    Py_XDECREF(none);
}

static void log_incomplete(hn_pool *pool)
{
    pool->told_incomplete = true;
    PyObject *module = hn_errors_module();
    PyObject *status =
        module == NULL ? NULL : PyObject_CallMethod((PyObject *)pool, "status", NULL);
    PyObject *none = status == NULL ? NULL
                                    : PyObject_CallMethod(module, "reset_incomplete", "OO",
                                                          pool->alias, status);
    if (none == NULL)
        PyErr_WriteUnraisable(pool->alias);
    Py_XDECREF(none);
    Py_XDECREF(status);
}

PyObject *hn_engine_result(hn_engine *e)
{
    if ((e->call.state & HN_FLAG_SHARED) != 0 && !e->session->pool->told_shared)
        log_shared(e->session->pool);
    if ((e->call.state & HN_FLAG_INCOMPLETE) != 0 && !e->session->pool->told_incomplete)
        log_incomplete(e->session->pool);
    if (e->raised != NULL) {
        hn_exception_raise(e->raised);
        e->raised = NULL;
        return NULL;
    }
    if (e->call.want != HN_WANT_DONE) {
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
    case HN_MODE_NOTHING:
    default:
        return Py_NewRef(Py_None);
    }
}
