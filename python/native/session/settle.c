/* What follows from an operation of a session: its pool's observer is told, and the functions that
 * wait for the commit are called. */
#include "session/settle.h"

#include "core/core.h"
#include "error.h"
#include "session/index.h"
#include "session/session.h"

bool hn_settle_is_observed(const hn_request *request)
{
    return request->op == HN_OP_STATEMENT || request->op == HN_OP_MANY ||
           request->op == HN_OP_SCRIPT ||
           (request->mode == HN_MODE_CHUNK && request->sql != NULL);
}

void hn_settle_observe(hn_pool *pool, PyObject *sql, double seconds, int64_t rows,
                       PyObject *exception)
{
    PyObject *observer = Py_XNewRef(pool->observer);
    if (observer == NULL)
        return; /* another thread has just taken it away */
    PyObject *answer = PyObject_CallFunction(observer, "OdLO", sql, seconds, (long long)rows,
                                             exception == NULL ? Py_None : exception);
    /* The statement has its outcome; an observer's trouble is its own. */
    if (answer == NULL)
        PyErr_WriteUnraisable(observer);
    Py_XDECREF(answer);
    Py_DECREF(observer);
}

PyObject *hn_settle_hooks(hn_session *session, hn_op op, const hn_call *call)
{
    if (op == HN_OP_FINALIZE && (call->state & 0xff) == HN_STATE_CLOSED)
        hn_index_remove(session);
    PyObject *hooks = session->on_commit;
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

PyObject *hn_settle_undo_failed(hn_session *session, PyObject *exception)
{
    PyObject *module = hn_errors_module();
    PyObject *logged =
        module == NULL ? NULL
                       : PyObject_CallMethod(module, "undo_failed", "OO", session, exception);
    if (logged == NULL)
        Py_SETREF(exception, hn_exception_take());
    else if (logged == Py_True)
        Py_CLEAR(exception);
    Py_XDECREF(logged);
    return exception;
}

/* A blocking call has no event loop to await it on. */
static int refuse_awaitable(PyObject *hook, PyObject *answer)
{
    if (!PyCoro_CheckExact(answer))
        return 0;
    PyObject *closed = PyObject_CallMethod(answer, "close", NULL);
    if (closed == NULL)
        return -1;
    Py_DECREF(closed);
    return hn_raise("InterfaceError", "on_commit: %R is a coroutine function, and was not run: "
                                      "the commit was not awaited", hook);
}

int hn_settle_call(PyObject *hooks)
{
    PyObject *first = NULL;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(hooks); i++) {
        PyObject *hook = Py_NewRef(PyList_GET_ITEM(hooks, i));
        PyObject *answer = PyObject_CallNoArgs(hook);
        bool failed = answer == NULL || refuse_awaitable(hook, answer) < 0;
        if (failed && first == NULL)
            first = hn_exception_take();
        else if (failed)
            PyErr_WriteUnraisable(hook);
        Py_XDECREF(answer);
        Py_DECREF(hook);
    }
    if (first == NULL)
        return 0;
    hn_exception_raise(first);
    return -1;
}
