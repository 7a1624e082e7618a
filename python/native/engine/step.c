/* One step of an operation, and one round of I/O. */
#include "engine/step.h"

#include "buf.h"
#include "core/core.h"
#include "error.h"

#define LONG_BODY (1u << 20) /* a body that takes long to encode and send */

void hn_engine_step(hn_engine *e, hn_op op, uint32_t in_flags)
{
    hn_call *call = &e->call;
    call->want = HN_WANT_FAIL;
    e->round_open = false;
    e->bound = HN_NEVER;
    /* A callable of the user's may have forked: in the child the core is the parent's. */
    if (hn_target_check(e->target) < 0) {
        hn_engine_raise(e);
        return;
    }
    call->op = op;
    call->in_flags =
        in_flags | (e->description == NULL ? 0 : hn_description_settings(e->description));
    call->body_len = (int64_t)e->body.len;
    call->out.len = 0;
    call->declared = e->declared.oids;
    call->ndeclared = (int64_t)e->declared.n;
    call->written.lsn = 0;
    hn_go.hypern_step(e->target->handle, call);
    if (call->written.lsn != 0)
        e->target->written = call->written;
    if (call->want == HN_WANT_FAIL || (call->want == HN_WANT_DONE && call->stream == 0))
        e->target->ahead.len = 0;
    call->sql = NULL;
    call->sql_len = 0;
    call->ctl = call->extra = NULL;
    call->ctl_len = call->extra_len = 0;
    call->rows = call->binds = call->sent = 0;
    call->io_errno = 0;
}

void hn_engine_raise(hn_engine *e)
{
    PyObject *exception = hn_exception_take();
    if (e->raised == NULL)
        e->raised = exception;
    else
        Py_XDECREF(exception);
    e->io.keep = false; /* rows that will not be returned are drained undecoded */
}

bool hn_engine_is_late(const hn_engine *e)
{
    /* What a converter or a signal handler has raised is the caller's. */
    bool has_raised = PyErr_Occurred() != NULL;
    if (has_raised && !hn_encode_was_late())
        return false;
    if (e->deadline == HN_NEVER || (e->body.len < LONG_BODY && !has_raised) ||
        hn_now() < e->deadline)
        return false;
    PyErr_Clear();
    char limit[32];
    (void)snprintf(limit, sizeof limit, "%.6g", e->request.timeout);
    hn_raise("QueryCanceled",
             "%s=%s s passed while the parameters were encoded, before they were sent",
             hn_request_limit_name(&e->request), limit);
    /* Inside a transaction more than this statement would have to be repeated. */
    bool is_alone =
        e->request.op == HN_OP_STATEMENT && (e->call.state & HN_FLAG_IN_TRANSACTION) == 0;
    PyObject *exception = hn_exception_take();
    if (is_alone && PyObject_SetAttrString(exception, "safe_to_retry", Py_True) < 0)
        PyErr_WriteUnraisable(exception);
    hn_exception_raise(exception);
    return true;
}

static bool wants_rows(const hn_engine *e)
{
    return e->request.mode >= HN_MODE_ROWS && e->raised == NULL;
}

void hn_engine_open_round(hn_engine *e)
{
    hn_call *call = &e->call;
    hn_io *io = &e->io;
    hn_buf *ahead = &e->target->ahead;
    if (ahead->len > 0 && hn_buf_bytes(&io->in, ahead->data, ahead->len) < 0)
        hn_engine_raise(e); /* the round then waits for an end that is lost: the core drops it */
    ahead->len = 0;
    hn_io_begin(io, e->target->handle, call->fd, (call->io_flags & HN_IO_TLS) != 0, call->zs);
    io->local = (call->io_flags & HN_IO_LOCAL) != 0;
    io->raw = (call->io_flags & HN_IO_RAW) != 0;
    io->copy = (call->io_flags & HN_IO_COPY) != 0;
    io->data = (call->io_flags & HN_IO_DATA) != 0;
    io->result = (call->io_flags & HN_IO_ROWS) != 0;
    io->guards = call->guards;
    if (e->request.op == HN_OP_SCRIPT)
        io->frames_max = INT64_MAX; /* one for each statement */
    io->keep = (io->result || io->data) && wants_rows(e);
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
        /* Bytes beyond the end of the round are handed to the core for the connection's next use.
         * After an early end they belong to the next round and stay here. */
        call->extra = io->in.data + io->scan;
        call->extra_len = (int64_t)(io->in.len - io->scan);
        io->in.len = io->scan;
    }
    if (e->raised != NULL && e->request.mode == HN_MODE_CHUNK)
        in_flags |= HN_IN_CANCELLED; /* the stream's number will not be returned */
    hn_engine_step(e, HN_OP_CONTINUE, in_flags);
}

bool hn_engine_is_parents(const hn_engine *e)
{
    return e->target->generation != hn_core_generation();
}

hn_pumped hn_engine_pump(hn_engine *e, int block_ms)
{
    hn_pumped pumped;
    if (hn_engine_is_parents(e)) {
        /* The descriptor is closed here, and its number perhaps another file's. The next step
         * raises. */
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
