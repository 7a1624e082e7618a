/* An awaited operation: one engine that an event loop drives, from its turn to its outcome. Longer than
 * others here, since it is one state machine whose transitions call each other; what the task sees
 * (awaitable.c), what feeds it (inner.c) and who else drives it (stranded.c) are apart. */
#include "awaited/operation.h"

#include "awaited/inner.h"
#include "awaited/telling.h"
#include "core/core.h"
#include "engine/many.h"
#include "error.h"
#include "session/session.h"
#include "session/settle.h"

/* Have hn_operation_late() called at the next time that matters. */
static int set_due(hn_operation *self)
{
    const hn_engine *e = self->driver.engine;
    self->due = self->driver.limit;
    if (e != NULL && e->need == HN_NEED_WAIT && e->need_until < self->due)
        self->due = e->need_until;
    return self->due == HN_NEVER ? 0 : hn_alarm_set(self->watcher, self->due);
}

/* The end. */

/* Take over the exception that is set. */
static void fail(hn_operation *self)
{
    Py_CLEAR(self->result);
    Py_XSETREF(self->exception, hn_exception_take());
}

/* Tell the task. Its future may be cancelled already: then it is about to leave. */
static void wake_task(hn_operation *self)
{
    if (self->future != NULL && self->watcher != NULL)
        hn_telling_add(self->watcher, self->future);
}

static void not_finalizing(hn_operation *self)
{
    if (self->request.op == HN_OP_FINALIZE)
        self->session->finalizing--;
}

/* The task that was to enter a transaction() block has left. */
static void was_not_entered(hn_operation *self)
{
    if (self->request.op == HN_OP_ENTER && self->result != NULL &&
        self->session->generation == hn_core_generation() && hn_core_loaded())
        hn_go.hypern_state(self->session->handle, HN_SET_NOT_ENTERED, (int32_t)self->request.block);
}

/* The engine is over, or was never made: `result` or `exception` has the outcome. The session is
 * anybody's from here on. */
static void finish(hn_operation *self)
{
    hn_session *session = self->session;
    hn_engine *engine = self->driver.engine;
    Py_INCREF(self);
    if (engine != NULL) {
        session->last_state = engine->call.state;
        self->count = self->result != NULL ? engine->call.count : 0;
        self->driver.engine = NULL;
        self->hooks = hn_settle_hooks(session, self->request.op, &engine->call);
        hn_engine_free(engine);
    }
    if (self->detached)
        was_not_entered(self);
    not_finalizing(self);
    if (self->began != 0)
        self->seconds = (double)(hn_now() - self->began) / 1e9;
    self->due = HN_NEVER;
    self->life = HN_LIFE_OVER;
    self->inside = 0;
    hn_lock_give(&session->lock);
    if (self->detached) {
        self->detached = false;
        hn_operation_settle(self);
        Py_DECREF(self);
    } else if (self->watcher != NULL && self->watcher->thread != PyThread_get_thread_ident()) {
        if (hn_watcher_soon(self->watcher, self) < 0)
            PyErr_WriteUnraisable((PyObject *)self);
    } else {
        wake_task(self);
    }
    if (self->watcher != NULL && !self->is_ready)
        hn_watcher_remove(self->watcher, self);
    Py_DECREF(self);
}

/* The engine is over. */
void hn_operation_conclude(hn_operation *self)
{
    self->result = hn_engine_result(self->driver.engine);
    if (self->result == NULL)
        fail(self);
    else if (self->answer != NULL)
        Py_SETREF(self->result, Py_NewRef(self->answer));
    finish(self);
}

/* What ends a session or a transaction() block. A block that was to be committed, and that its task has
 * left before the COMMIT began, is rolled back. */
static bool must_happen(hn_operation *self)
{
    if (self->request.op == HN_OP_LEAVE)
        self->request.op = HN_OP_UNDO;
    return self->request.op == HN_OP_FINALIZE || self->request.op == HN_OP_UNDO;
}

/* It cannot go on: the exception that is set is the outcome. */
static void give_up(hn_operation *self)
{
    PyObject *exception = hn_exception_take();
    if (self->driver.engine == NULL && must_happen(self)) {
        /* Nobody else may come to give the connection back, or to roll back. */
        if (!hn_operation_begin(self)) {
            Py_XDECREF(exception);
            return;
        }
    }
    if (self->driver.engine != NULL)
        hn_engine_abandon(self->driver.engine, 0);
    Py_XSETREF(self->exception, exception);
    finish(self);
}

/* Going on. */

/* One advance. Whether it is over. */
bool hn_operation_advance(hn_operation *self, hn_wake wake, int block_ms)
{
    if (self->context != NULL && PyContext_Enter(self->context) < 0)
        PyErr_WriteUnraisable(self->context);
    hn_progress progress = hn_engine_advance(self->driver.engine, wake, block_ms);
    if (self->context != NULL && PyContext_Exit(self->context) < 0)
        PyErr_WriteUnraisable(self->context);
    return progress == HN_OVER;
}

/* Which descriptor may stay watched for the next statement or wait; 0: none. That of a long result is
 * readable while others have their turn. */
static uint64_t stays(const hn_operation *self)
{
    const hn_engine *e = self->driver.engine;
    return e->io.rows != 0 ? 0 : e->call.socket;
}

/* Have the loop come back to it. */
void hn_operation_wait(hn_operation *self)
{
    const hn_engine *e = self->driver.engine;
    self->inside = 0;
    int rc = 0;
    if (e->need == HN_NEED_ROWS)
        wake_task(self);
    else if (e->need == HN_NEED_LOOK_UP)
        rc = hn_watcher_soon(self->watcher, self);
    else
        rc = hn_watcher_arm(self->watcher, self, e->need_fd, e->need_events, stays(self));
    if (rc < 0 || set_due(self) < 0)
        give_up(self);
}

void hn_operation_hand_back(hn_operation *self)
{
    self->inside = 0;
    if (self->watcher == NULL)
        hn_operation_lose(self);
    else if (self->driver.engine->need != HN_NEED_WAIT)
        hn_operation_wait(self);
    else if (hn_watcher_soon(self->watcher, self) < 0 || set_due(self) < 0)
        give_up(self);
}

static void go_on(hn_operation *self, hn_wake wake)
{
    hn_watcher_disarm(self->watcher, self);
    self->inside = PyThread_get_thread_ident();
    if (hn_operation_advance(self, wake, 0))
        hn_operation_conclude(self);
    else
        hn_operation_wait(self);
}

bool hn_operation_is_hungry(const hn_operation *self)
{
    return self->life == HN_LIFE_RUNNING && self->driver.engine != NULL &&
           self->driver.engine->need == HN_NEED_ROWS;
}

void hn_operation_feed(hn_operation *self, PyObject *rows, bool more)
{
    if (rows == NULL || hn_many_take(self->driver.engine, rows, more) < 0)
        hn_engine_raise(self->driver.engine);
    go_on(self, HN_WAKE_READY);
}

/* Make the engine. Whether there is one, or else it is over. */
bool hn_operation_begin(hn_operation *self)
{
    self->inside = PyThread_get_thread_ident();
    if (self->request.op == HN_OP_FINALIZE) {
        self->driver.limit = HN_NEVER;
    }
    self->driver.engine = hn_engine_new(self->session);
    if (self->driver.engine != NULL &&
        hn_engine_start(self->driver.engine, &self->request) == 0)
        return true;
    fail(self);
    finish(self);
    return false;
}

void hn_operation_go(hn_operation *self)
{
    if (self->inside != 0)
        return;
    Py_INCREF(self);
    if (self->life != HN_LIFE_RUNNING) { /* over, and its task may have left since */
        wake_task(self);
        hn_watcher_remove(self->watcher, self);
    } else if (self->driver.engine != NULL || hn_operation_begin(self)) {
        go_on(self, HN_WAKE_READY);
    }
    Py_DECREF(self);
}

/* It leaves the queue: the exception that is set is the outcome. */
static void leave_queue(hn_operation *self)
{
    hn_lock_leave(&self->session->lock, &self->turn);
    fail(self);
    not_finalizing(self);
    self->due = HN_NEVER;
    self->life = HN_LIFE_OVER;
    wake_task(self);
    if (self->watcher != NULL)
        hn_watcher_remove(self->watcher, self);
    if (self->detached) {
        self->detached = false;
        hn_operation_settle(self);
        Py_DECREF(self);
    }
}

/* FINALIZE waits for whoever is in the session: ask, insist, leave. */
static void insist(hn_operation *self)
{
    if (self->driver.stage == HN_KILLED) {
        hn_raise("InterfaceError", "the session of request %R cannot be finalized: its statement "
                                   "does not end", self->session->request_id);
        leave_queue(self);
        return;
    }
    if (hn_session_check(self->session) < 0) { /* in a forked child */
        leave_queue(self);
        return;
    }
    bool asked = self->driver.stage == HN_CANCELLING;
    hn_go.hypern_cancel(self->session->handle, asked ? HN_CANCEL_KILL : HN_CANCEL_REQUEST);
    self->driver.stage = asked ? HN_KILLED : HN_CANCELLING;
    self->driver.limit = hn_now() + HN_GRACE;
    if (set_due(self) < 0)
        PyErr_WriteUnraisable((PyObject *)self);
}

/* The time for waiting in the queue is up. */
static void be_late(hn_operation *self)
{
    if (self->request.op == HN_OP_FINALIZE) {
        insist(self);
        return;
    }
    hn_lock_raise(HN_LOCK_LATE, self->request.timeout);
    leave_queue(self);
}

/* What has come while the loop was busy with others. Whether that is the end. */
static bool ends_at_a_look(hn_operation *self)
{
    hn_watcher_disarm(self->watcher, self);
    self->inside = PyThread_get_thread_ident();
    bool over = hn_operation_advance(self, HN_WAKE_READY, 0);
    if (over)
        hn_operation_conclude(self);
    else
        self->inside = 0;
    return over;
}

void hn_operation_late(hn_operation *self)
{
    hn_driver *d = &self->driver;
    if (self->inside != 0 || self->watcher == NULL)
        return; /* whoever drives it looks at the clock */
    bool is_late = hn_ms_until(d->limit, 1) == 0;
    if (self->life == HN_LIFE_QUEUED && is_late) {
        be_late(self);
        return;
    }
    if (self->life != HN_LIFE_RUNNING || d->engine == NULL)
        return;
    bool waits = d->engine->need == HN_NEED_WAIT;
    if (is_late && (d->stage != HN_RUNNING || d->engine->need == HN_NEED_IO)) {
        if (ends_at_a_look(self))
            return;
        waits = d->engine->need == HN_NEED_WAIT;
    }
    bool is_due = is_late && (d->stage == HN_RUNNING || d->late);
    if (waits && (is_due || hn_ms_until(d->engine->need_until, 1) == 0)) {
        go_on(self, is_due ? HN_WAKE_LATE : HN_WAKE_TIMEOUT);
    } else if (is_late && d->stage == HN_RUNNING && hn_operation_is_hungry(self)) {
        hn_driver_limit(d);
        go_on(self, HN_WAKE_READY);
        hn_inner_interrupt(self);
    } else if (is_late) {
        hn_driver_limit(d);
        hn_watcher_disarm(self->watcher, self);
        if (d->engine->call.want == HN_WANT_FAIL)
            hn_operation_conclude(self);
        else
            hn_operation_wait(self);
    } else if (set_due(self) < 0) { /* the loop's clock was ahead of ours */
        give_up(self);
    }
}

/* Turns. */

int hn_operation_start(hn_operation *self)
{
    self->life = HN_LIFE_DONE;
    if (hn_session_check(self->session) < 0) {
        if (self->request.op != HN_OP_STREAM_END)
            return -1;
        PyErr_Clear(); /* the stream is the parent's, and ends there */
        self->result = Py_NewRef(Py_None);
        self->life = HN_LIFE_OVER;
        return 0;
    }
    hn_watcher *watcher = hn_watcher_here();
    if (watcher == NULL)
        return -1;
    if (self->request.op == HN_OP_FINALIZE)
        self->session->finalizing++;
    if (self->request.is_fed) {
        self->rows = Py_TYPE(self->request.params)->tp_as_async->am_aiter(self->request.params);
        if (self->rows == NULL)
            return -1;
    } else if (self->request.op == HN_OP_MANY) {
        self->context = PyContext_CopyCurrent();
        if (self->context == NULL)
            return -1;
    }
    self->driver = (hn_driver){.engine = NULL, .stage = HN_RUNNING, .limit = HN_NEVER};
    if (self->timeout != HN_NEVER)
        self->driver.limit = hn_now() + self->timeout;
    if (self->session->pool->observer != NULL && hn_settle_is_observed(&self->request))
        self->began = hn_now();
    self->turn = (hn_waiter){.thread = watcher->thread, .operation = self};
    switch (hn_lock_await(&self->session->lock, &self->turn)) {
    case HN_LOCKED:
        self->life = HN_LIFE_RUNNING;
        hn_watcher_add(watcher, self);
        if (hn_operation_begin(self))
            go_on(self, HN_WAKE_READY);
        return 0;
    case HN_LOCK_QUEUED:
        self->life = HN_LIFE_QUEUED;
        hn_watcher_add(watcher, self);
        if (set_due(self) == 0)
            return 0;
        hn_lock_leave(&self->session->lock, &self->turn);
        hn_watcher_remove(watcher, self);
        self->life = HN_LIFE_DONE;
        not_finalizing(self);
        return -1;
    case HN_LOCK_REENTRED:
    default:
        not_finalizing(self);
        return hn_lock_raise(HN_LOCK_REENTRED, -1);
    }
}

void hn_operation_granted(hn_operation *self)
{
    PyObject *exception = hn_exception_take(); /* of whoever gives the lock */
    self->life = HN_LIFE_RUNNING;
    self->driver.stage = HN_RUNNING;
    if (self->watcher == NULL) { /* lost in the queue */
        PyErr_SetString(PyExc_RuntimeError, "the event loop was closed while an operation waited");
        give_up(self);
    } else if (hn_watcher_soon(self->watcher, self) < 0) {
        give_up(self); /* the loop is closed */
    }
    if (exception != NULL)
        hn_exception_raise(exception);
}

/* Whether a task that leaves has it cancelled on the server: not what is to undo or to end things,
 * which is short and must happen. */
static bool is_cancellable(const hn_operation *self)
{
    switch (self->request.op) {
    case HN_OP_FINALIZE:
    case HN_OP_ROLLBACK:
    case HN_OP_ROLLBACK_TO:
    case HN_OP_UNDO:
    case HN_OP_STREAM_END:
        return false;
    default:
        return true;
    }
}

static void detach(hn_operation *self)
{
    self->detached = true;
    Py_INCREF(self);
    Py_CLEAR(self->future);
}

void hn_operation_leave(hn_operation *self)
{
    hn_driver *d = &self->driver;
    Py_CLEAR(self->future);
    switch (self->life) {
    case HN_LIFE_QUEUED:
        if (must_happen(self)) {
            detach(self);
            return;
        }
        hn_lock_leave(&self->session->lock, &self->turn);
        self->due = HN_NEVER;
        if (self->watcher != NULL)
            hn_watcher_remove(self->watcher, self);
        break;
    case HN_LIFE_RUNNING:
        detach(self);
        if (self->inside != 0 || d->stage != HN_RUNNING) {
            return; /* whoever is inside goes on to the end */
        }
        if (d->engine == NULL && !must_happen(self)) {
            PyErr_SetString(PyExc_RuntimeError, "nobody waits for it");
            give_up(self);
        } else if (d->engine != NULL && is_cancellable(self)) {
            if (d->engine->need == HN_NEED_WAIT) {
                hn_watcher_disarm(self->watcher, self);
                PyErr_SetString(PyExc_RuntimeError, "nobody waits for it");
                give_up(self);
                return;
            }
            bool hungry = hn_operation_is_hungry(self);
            hn_driver_escalate(d);
            if (hungry)
                go_on(self, HN_WAKE_READY); /* it stops by itself */
            else if (set_due(self) < 0)
                give_up(self);
        }
        return;
    case HN_LIFE_OVER:
        was_not_entered(self);
        hn_operation_settle(self);
        break;
    default:
        break;
    }
    self->life = HN_LIFE_DONE;
}

void hn_operation_lose(hn_operation *self)
{
    Py_INCREF(self);
    if (self->watcher != NULL)
        hn_watcher_remove(self->watcher, self);
    self->due = HN_NEVER;
    PyObject *exception = hn_exception_take();
    if (self->life == HN_LIFE_QUEUED && must_happen(self)) {
        if (!self->detached) /* its turn will come, and then it gives up the connection */
            detach(self);
    } else if (self->life == HN_LIFE_QUEUED) {
        PyErr_SetString(PyExc_RuntimeError, "the event loop was closed while an operation waited");
        leave_queue(self);
    } else if (self->life == HN_LIFE_RUNNING && self->inside == 0) {
        /* else it is ended, or lost again, by the thread that is inside */
        PyErr_SetString(PyExc_RuntimeError, "the event loop was closed while an operation ran");
        give_up(self);
    }
    if (exception != NULL)
        hn_exception_raise(exception);
    Py_DECREF(self);
}
