/* What follows from an operation of a session. */
#include "drive/settle.h"

#include "core/core.h"
#include "engine/queued.h"
#include "error.h"
#include "session/index.h"

bool hn_settle_is_observed(const hn_request *request)
{
    if (request->mode == HN_MODE_DESCRIBE)
        return false; /* it runs nothing */
    return request->op == HN_OP_STATEMENT || request->op == HN_OP_MANY ||
           request->op == HN_OP_COPY_IN || request->op == HN_OP_SCRIPT ||
           request->op == HN_OP_BATCH || (request->mode == HN_MODE_CHUNK && request->sql != NULL);
}

static Py_ssize_t count_parameters(const hn_engine *engine)
{
    bool is_bulk = engine->request.op == HN_OP_MANY || engine->request.op == HN_OP_COPY_IN;
    PyObject *params = is_bulk ? NULL : engine->request.params;
    if (params != NULL && (PyList_Check(params) || PyTuple_Check(params)))
        return Py_SIZE(params);
    if (engine->description != NULL)
        return hn_description_nparams(engine->description);
    return engine->request.op == HN_OP_STATEMENT && params == NULL ? 0 : -1;
}

void hn_settle_report(hn_report *report, const hn_engine *engine, bool has_result)
{
    const hn_buf *where = &engine->call.tail;
    report->rows = has_result ? engine->call.count : 0;
    report->wait_secs = engine->call.wait_secs;
    report->parameters = count_parameters(engine);
    report->batch = engine->request.op == HN_OP_MANY ? engine->row : -1;
    report->where = NULL;
    bool is_over = engine->call.want == HN_WANT_DONE || engine->call.want == HN_WANT_FAIL;
    if (is_over && where->len > 0) {
        report->where =
            PyUnicode_DecodeUTF8((const char *)where->data, (Py_ssize_t)where->len, "replace");
        if (report->where == NULL)
            PyErr_WriteUnraisable(engine->target->owner);
    }
}

typedef struct seen {
    PyObject *sql;
    Py_ssize_t parameters;
    int64_t rows;
    PyObject *exception; /* or NULL */
} seen;

static void call_observer(PyObject *observer, hn_view *session, const hn_request *request,
                          const hn_report *report, const seen *s)
{
    bool is_stream = request->op == HN_OP_STREAM || request->op == HN_OP_FETCH;
    PyObject *where = report->where != NULL ? report->where : Py_None;
    PyObject *returned = PyObject_CallFunction(
        observer, "OsOnnOddLO", (PyObject *)session, is_stream ? "stream" : request->method, s->sql,
        s->parameters, report->batch, where, report->wait_secs, report->seconds, (long long)s->rows,
        s->exception == NULL ? Py_None : s->exception);
    /* The statement has its outcome: an observer's exception does not change it. */
    if (returned == NULL)
        PyErr_WriteUnraisable(observer);
    Py_XDECREF(returned);
}

static seen seen_in_batch(const hn_queued *statement)
{
    return (seen){.sql = statement->sql,
                  .parameters = statement->params == NULL ? 0 : PyTuple_GET_SIZE(statement->params),
                  .rows = statement->count,
                  .exception = statement->error};
}

/* Which statement of a batch has failed; -1 if none of them has, but the batch. */
static Py_ssize_t failed_index(PyObject *exception)
{
    PyObject *index = PyObject_GetAttrString(exception, "index");
    Py_ssize_t i = index != NULL && PyLong_Check(index) ? PyLong_AsSsize_t(index) : -1;
    Py_XDECREF(index);
    PyErr_Clear(); /* it has no such attribute, or None there */
    return i;
}

static void observe_batch(PyObject *observer, hn_view *session, const hn_request *request,
                          const hn_report *report, PyObject *ran, PyObject *exception)
{
    PyObject *statements = request->params;
    Py_ssize_t first = exception == NULL ? 0 : failed_index(exception);
    Py_ssize_t end = exception == NULL ? PyLong_AsSsize_t(ran) : first + 1;
    for (Py_ssize_t i = first; i >= 0 && i < end && i < PyList_GET_SIZE(statements); i++) {
        seen s = seen_in_batch((hn_queued *)PyList_GET_ITEM(statements, i));
        if (exception != NULL)
            s.exception = exception;
        call_observer(observer, session, request, report, &s);
    }
}

void hn_settle_observe(hn_view *session, const hn_request *request, hn_report *report,
                       PyObject *result, PyObject *exception)
{
    PyObject *observer = Py_XNewRef(session->target.database->observer);
    if (observer != NULL) { /* else another thread has just removed it */
        if (request->op == HN_OP_BATCH) {
            observe_batch(observer, session, request, report, result, exception);
        } else {
            const seen s = {request->sql, report->parameters, report->rows, exception};
            call_observer(observer, session, request, report, &s);
        }
        Py_DECREF(observer);
    }
    Py_CLEAR(report->where);
}

PyObject *hn_settle_notices(const hn_engine *engine)
{
    const hn_buf *notices = &engine->io.notices;
    if (notices->len == 0)
        return NULL;
    PyObject *exception = hn_exception_take();
    PyObject *bytes =
        PyBytes_FromStringAndSize((const char *)notices->data, (Py_ssize_t)notices->len);
    if (bytes == NULL)
        PyErr_WriteUnraisable(engine->target->owner);
    if (exception != NULL)
        hn_exception_raise(exception);
    return bytes;
}

void hn_settle_deliver(hn_view *session, const hn_request *request, PyObject *notices)
{
    if (notices == NULL)
        return;
    PyObject *exception = hn_exception_take();
    PyObject *module = PyImport_ImportModule("hypern.pool.notices"), *none = NULL;
    PyObject *sql = request->sql != NULL ? request->sql : Py_None;
    if (module != NULL)
        none = PyObject_CallMethod(module, "deliver", "OOO", (PyObject *)session, sql, notices);
    if (none == NULL)
        PyErr_WriteUnraisable((PyObject *)session);
    Py_XDECREF(none);
    Py_XDECREF(module);
    Py_DECREF(notices);
    if (exception != NULL)
        hn_exception_raise(exception);
}

PyObject *hn_settle_hooks(hn_view *session, hn_op op, const hn_call *call)
{
    if (op == HN_OP_FINALIZE && (call->state & 0xff) == HN_STATE_CLOSED)
        hn_index_remove(session);
    PyObject *hooks = session->target.on_commit;
    if (hooks == NULL || call->hooks_kept == HN_HOOKS_ALL)
        return NULL;
    Py_ssize_t kept = (Py_ssize_t)call->hooks_kept, all = PyList_GET_SIZE(hooks);
    if (kept >= all)
        return NULL;
    PyObject *exception = hn_exception_take();
    PyObject *others = PyList_GetSlice(hooks, kept, all);
    if (others == NULL || PyList_SetSlice(hooks, kept, all, NULL) < 0)
        PyErr_WriteUnraisable((PyObject *)session);
    if (!call->hooks_due)
        Py_CLEAR(others);
    if (exception != NULL)
        hn_exception_raise(exception);
    return others;
}

static void write_line(PyObject *alias, const char *function, PyObject *status)
{
    PyObject *module = hn_errors_module();
    PyObject *none =
        module == NULL
            ? NULL
            : PyObject_CallMethod(module, function, status == NULL ? "O" : "OO", alias, status);
    if (none == NULL)
        PyErr_WriteUnraisable(alias);
    Py_XDECREF(none);
}

void hn_settle_log(const hn_engine *engine)
{
    hn_database *database = engine->target->database;
    uint32_t state = engine->call.state;
    if ((state & HN_FLAG_SHARED) != 0 && !database->logged_shared) {
        database->logged_shared = true;
        write_line(database->alias, "pooler_found", NULL);
    }
    if ((state & HN_FLAG_NO_REPLICA) != 0) {
        PyObject *status = hn_database_status(database);
        if (status == NULL)
            PyErr_WriteUnraisable(database->alias);
        else
            write_line(database->alias, "replica_missed", status);
        Py_XDECREF(status);
    }
    if ((state & HN_FLAG_INCOMPLETE) != 0 && !database->logged_incomplete) {
        database->logged_incomplete = true;
        PyObject *status = hn_database_status(database);
        if (status == NULL)
            PyErr_WriteUnraisable(database->alias);
        else
            write_line(database->alias, "reset_incomplete", status);
        Py_XDECREF(status);
    }
}

PyObject *hn_settle_undo_failed(PyObject *session, PyObject *exception)
{
    PyObject *module = hn_errors_module();
    PyObject *logged = module == NULL
                           ? NULL
                           : PyObject_CallMethod(module, "undo_failed", "OO", session, exception);
    if (logged == NULL)
        Py_SETREF(exception, hn_exception_take());
    else if (logged == Py_True)
        Py_CLEAR(exception);
    Py_XDECREF(logged);
    return exception;
}

/* A blocking call has no event loop to await it on. */
static int refuse_awaitable(PyObject *hook, PyObject *returned)
{
    if (!PyCoro_CheckExact(returned))
        return 0;
    PyObject *closed = PyObject_CallMethod(returned, "close", NULL);
    if (closed == NULL)
        return -1;
    Py_DECREF(closed);
    return hn_raise("InterfaceError",
                    "on_commit: %R is a coroutine function, and was not run: "
                    "the commit was not awaited",
                    hook);
}

int hn_settle_call(PyObject *hooks)
{
    PyObject *first = NULL;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(hooks); i++) {
        PyObject *hook = Py_NewRef(PyList_GET_ITEM(hooks, i));
        PyObject *returned = PyObject_CallNoArgs(hook);
        bool failed = returned == NULL || refuse_awaitable(hook, returned) < 0;
        if (failed && first == NULL)
            first = hn_exception_take();
        else if (failed)
            PyErr_WriteUnraisable(hook);
        Py_XDECREF(returned);
        Py_DECREF(hook);
    }
    if (first == NULL)
        return 0;
    hn_exception_raise(first);
    return -1;
}
