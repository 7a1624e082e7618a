/* The methods of a session, awaited or not, that run something on the server: arguments in,
 * hn_session_do out. */
#include "session/session.h"

#include <string.h>

#include "awaited/operation.h"
#include "core/core.h"
#include "engine/drive.h"
#include "error.h"
#include "session/settle.h"
#include "session/text.h"

/* Arguments of a statement call: (sql, second, *, timeout). sql is a reference. */
typedef struct arguments {
    PyObject *sql;
    PyObject *second;
    PyObject *resolved; /* what keeps second where it is not the caller's; or NULL */
    bool strict;        /* query_one only */
    hn_time deadline;
    double timeout; /* in seconds; below 0: none */
} arguments;

static int place(const char *method, const char *second, PyObject *name, PyObject *value,
                 PyObject *slot[4])
{
    const char *const names[] = {"sql", second, "timeout", "strict"};
    const size_t known = strcmp(method, "query_one") == 0 ? 4 : 3;
    for (size_t i = 0; i < known; i++) {
        if (!PyUnicode_Check(name) || PyUnicode_CompareWithASCIIString(name, names[i]) != 0)
            continue;
        if (slot[i] != NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'", method,
                         name);
            return -1;
        }
        slot[i] = value;
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%S'", method, name);
    return -1;
}

PyObject *hn_session_check_sql(PyObject *sql)
{
    if (!PyUnicode_Check(sql)) {
        PyErr_Format(PyExc_TypeError, "sql must be a str or a Template, not %s", Py_TYPE(sql)->tp_name);
        return NULL;
    }
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(sql, &len);
    if (text == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
            return NULL;
        PyErr_Clear();
        hn_raise("ProgrammingError", "sql cannot be sent as UTF-8: it holds a lone surrogate");
        return NULL;
    }
    if (len > HN_TEXT_MAX) {
        hn_raise("ProgrammingError", "sql is longer than 1 GiB, which is more than PostgreSQL takes");
        return NULL;
    }
    if (memchr(text, 0, (size_t)len) != NULL) {
        hn_raise("ProgrammingError", "sql holds a NUL character, which PostgreSQL does not take");
        return NULL;
    }
    return PyUnicode_FromObject(sql);
}

/* Put the text and the parameters that the arguments stand for in their place; the text is borrowed. */
static int resolve(arguments *a, PyObject **sql, bool many)
{
    if (!many && hn_text_is_plain(*sql, a->second))
        return 0;
    a->resolved = many ? hn_text_resolve_many(*sql, a->second) : hn_text_resolve(*sql, a->second);
    if (a->resolved == NULL)
        return PyErr_Occurred() ? -1 : 0;
    *sql = PyTuple_GET_ITEM(a->resolved, 0);
    a->second = PyTuple_GET_ITEM(a->resolved, 1);
    if (a->second == Py_None && !many)
        a->second = NULL;
    return 0;
}

static void clear_arguments(arguments *a)
{
    Py_CLEAR(a->sql);
    Py_CLEAR(a->resolved);
}

static int read_arguments(const char *method, const char *second, bool second_required,
                          PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, arguments *a)
{
    PyObject *slot[4] = {NULL, NULL, NULL, NULL};
    if (nargs > 2) {
        PyErr_Format(PyExc_TypeError, "%s() takes sql and %s by position (%zd given)", method,
                     second, nargs);
        return -1;
    }
    for (Py_ssize_t i = 0; i < nargs; i++)
        slot[i] = args[i];
    for (Py_ssize_t i = 0; kwnames != NULL && i < PyTuple_GET_SIZE(kwnames); i++)
        if (place(method, second, PyTuple_GET_ITEM(kwnames, i), args[nargs + i], slot) < 0)
            return -1;
    if (slot[0] == NULL || (second_required && slot[1] == NULL)) {
        PyErr_Format(PyExc_TypeError, "%s() misses its argument '%s'", method,
                     slot[0] == NULL ? "sql" : second);
        return -1;
    }
    a->second = slot[1] == Py_None && !second_required ? NULL : slot[1];
    if (hn_deadline(slot[2], &a->deadline, &a->timeout) < 0)
        return -1;
    int strict = slot[3] == NULL ? 0 : PyObject_IsTrue(slot[3]);
    if (strict < 0 || resolve(a, &slot[0], second_required) < 0)
        return -1;
    a->strict = strict != 0;
    a->sql = hn_session_check_sql(slot[0]);
    if (a->sql == NULL)
        clear_arguments(a);
    return a->sql == NULL ? -1 : 0;
}

static PyObject *run_statement(const char *method, hn_mode mode, PyObject *self,
                               PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    arguments a = {.resolved = NULL};
    if (read_arguments(method, "params", false, args, nargs, kwnames, &a) < 0)
        return NULL;
    PyObject *result = NULL;
    if (a.second == NULL || hn_check_params(a.second, -1) == 0) {
        hn_request request = {
            .op = HN_OP_STATEMENT, .sql = a.sql, .params = a.second, .mode = mode};
        if (a.strict)
            request.mode = HN_MODE_ONLY;
        request.method = method;
        request.timeout = a.timeout;
        result = hn_session_do(self, &request, a.deadline, false);
    }
    clear_arguments(&a);
    return result;
}

#define STATEMENT(name, mode)                                                                      \
    static PyObject *name(PyObject *self, PyObject *const *args, Py_ssize_t nargs,                 \
                          PyObject *kwnames)                                                       \
    {                                                                                              \
        return run_statement(#name, mode, self, args, nargs, kwnames);                             \
    }
STATEMENT(query, HN_MODE_ROWS)
STATEMENT(query_one, HN_MODE_ONE)
STATEMENT(query_one_or_none, HN_MODE_ONE_OR_NONE)
STATEMENT(query_value, HN_MODE_VALUE)
STATEMENT(query_values, HN_MODE_VALUES)
STATEMENT(execute, HN_MODE_COUNT)
#undef STATEMENT

static PyObject *execute_many(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *kwnames)
{
    arguments a = {.resolved = NULL};
    if (read_arguments("execute_many", "params_list", true, args, nargs, kwnames, &a) < 0)
        return NULL;
    hn_request request = {
        .op = HN_OP_MANY, .sql = a.sql, .params = a.second, .mode = HN_MODE_COUNT};
    const PyAsyncMethods *async = Py_TYPE(a.second)->tp_as_async;
    request.is_fed = !hn_session_is_blocking(self) && async != NULL && async->am_aiter != NULL;
    request.method = "execute_many";
    request.timeout = a.timeout;
    PyObject *result = hn_session_do(self, &request, a.deadline, false);
    clear_arguments(&a);
    return result;
}

static PyObject *execute_script(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"text", "atomic", "timeout", NULL};
    PyObject *text, *timeout = NULL;
    int atomic = 1;
    hn_time deadline;
    hn_request request = {.op = HN_OP_SCRIPT, .mode = HN_MODE_NOTHING, .method = "execute_script"};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$pO:execute_script", names, &text, &atomic, &timeout) ||
        hn_deadline(timeout, &deadline, &request.timeout) < 0)
        return NULL;
    PyObject *resolved = hn_text_resolve_script(text);
    if (resolved == NULL)
        return NULL;
    request.sql = hn_session_check_sql(resolved);
    Py_DECREF(resolved);
    if (request.sql == NULL)
        return NULL;
    request.flags = atomic ? 0 : HN_IN_STEPWISE;
    PyObject *result = hn_session_do(self, &request, deadline, false);
    Py_DECREF(request.sql);
    return result;
}

/* A command without rows, named or not. chained: it answers the session. */
static PyObject *command(PyObject *self, hn_op op, const char *method, PyObject *text, bool chained)
{
    PyObject *sql = text == NULL ? NULL : hn_session_check_sql(text);
    if (text != NULL && sql == NULL)
        return NULL;
    hn_request request = {.op = op, .sql = sql, .mode = HN_MODE_NOTHING, .method = method};
    request.timeout = -1;
    PyObject *result = hn_session_do(self, &request, HN_NEVER, chained);
    Py_XDECREF(sql);
    return result;
}

static PyObject *commit(PyObject *self, PyObject *unused)
{
    (void)unused;
    return command(self, HN_OP_COMMIT, "commit", NULL, true);
}

static PyObject *rollback(PyObject *self, PyObject *unused)
{
    (void)unused;
    return command(self, HN_OP_ROLLBACK, "rollback", NULL, true);
}

static PyObject *begin(PyObject *self, PyObject *sql)
{
    return command(self, HN_OP_BEGIN, "begin", sql, true);
}

static PyObject *savepoint(PyObject *self, PyObject *name)
{
    return command(self, HN_OP_SAVEPOINT, "_savepoint", name, false);
}

static PyObject *release(PyObject *self, PyObject *name)
{
    return command(self, HN_OP_RELEASE, "_release", name, false);
}

static PyObject *rollback_to(PyObject *self, PyObject *name)
{
    return command(self, HN_OP_ROLLBACK_TO, "_rollback_to", name, false);
}

/* For the end of a request, which ends open blocks, too. */
static PyObject *commit_request(PyObject *self, PyObject *unused)
{
    (void)unused;
    hn_request request = {.op = HN_OP_COMMIT, .mode = HN_MODE_NOTHING, .flags = HN_IN_REQUEST, .timeout = -1};
    request.method = "commit";
    return hn_session_do(self, &request, HN_NEVER, false);
}

static PyObject *rollback_request(PyObject *self, PyObject *unused)
{
    (void)unused;
    hn_request request = {.op = HN_OP_ROLLBACK, .mode = HN_MODE_NOTHING, .flags = HN_IN_REQUEST,
                          .timeout = -1};
    request.method = "rollback";
    return hn_session_do(self, &request, HN_NEVER, false);
}

/* transaction() blocks, by number: see session/guard.h. */

static PyObject *enter_block(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2 || !PyLong_Check(args[0]) || !PyUnicode_Check(args[1]))
        return PyErr_Format(PyExc_TypeError, "_enter() wants a block's number and its text");
    hn_request request = {.op = HN_OP_ENTER, .sql = args[1], .mode = HN_MODE_NOTHING, .timeout = -1};
    request.block = (uint32_t)PyLong_AsUnsignedLong(args[0]);
    request.method = "_enter";
    if (PyErr_Occurred())
        return NULL;
    return hn_session_do(self, &request, HN_NEVER, true);
}

static PyObject *end_block(PyObject *self, hn_op op, const char *method, PyObject *number)
{
    hn_request request = {.op = op, .mode = HN_MODE_NOTHING, .method = method, .timeout = -1};
    request.block = (uint32_t)PyLong_AsUnsignedLong(number);
    return PyErr_Occurred() ? NULL : hn_session_do(self, &request, HN_NEVER, false);
}

static PyObject *leave_block(PyObject *self, PyObject *number)
{
    return end_block(self, HN_OP_LEAVE, "_leave", number);
}

static PyObject *undo_block(PyObject *self, PyObject *number)
{
    return end_block(self, HN_OP_UNDO, "_undo", number);
}

/* For an AsyncSession: the same at once, and an awaitable that is over. */
static PyObject *undo_now(PyObject *op, PyObject *number)
{
    hn_session *self = hn_session_of(op);
    hn_request request = {.op = HN_OP_UNDO, .mode = HN_MODE_NOTHING, .method = "_undo", .timeout = -1};
    request.block = (uint32_t)PyLong_AsUnsignedLong(number);
    if (PyErr_Occurred())
        return NULL;
    PyObject *done = hn_session_run(self, &request, HN_NEVER);
    PyObject *exception = done != NULL ? NULL : hn_settle_undo_failed(self, hn_exception_take());
    Py_XDECREF(done);
    if (exception == NULL)
        return hn_operation_over(self, &request);
    hn_exception_raise(exception);
    return NULL;
}

/* The core's flags after something that needs no server; -1 with an exception. */
static int64_t ask_about_block(PyObject *op, int what, PyObject *number)
{
    const hn_session *self = hn_session_of(op);
    long block = PyLong_AsLong(number);
    if ((block == -1 && PyErr_Occurred()) || hn_session_check(self) < 0)
        return -1;
    return hn_go.hypern_state(self->handle, what, (int32_t)block);
}

static PyObject *set_failed(PyObject *op, PyObject *unused)
{
    (void)unused;
    const hn_session *self = hn_session_of(op);
    if (hn_session_check(self) < 0)
        return NULL;
    hn_go.hypern_state(self->handle, HN_SET_FAILED, 1);
    Py_RETURN_NONE;
}

static PyObject *not_entered(PyObject *self, PyObject *number)
{
    if (ask_about_block(self, HN_SET_NOT_ENTERED, number) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *has_block(PyObject *self, PyObject *number)
{
    int64_t state = ask_about_block(self, HN_SET_FIND_BLOCK, number);
    return state < 0 ? NULL : PyBool_FromLong((state & HN_FLAG_BLOCK) != 0);
}

static PyObject *finalize(PyObject *self, PyObject *grace)
{
    hn_time until;
    if (hn_deadline(grace, &until, NULL) < 0)
        return NULL;
    hn_request request = {.op = HN_OP_FINALIZE, .mode = HN_MODE_NOTHING, .method = "_finalize"};
    request.timeout = -1;
    return hn_session_do(self, &request, until, false);
}

#define TIMEOUT                                                                                    \
    "\n\ntimeout: seconds for waiting and running; then the statement is cancelled (QueryCanceled).\n"  \
    "If the server does not confirm that in time, its connection is closed (ConnectionLost). If no\n"    \
    "connection came free, it is PoolTimeout."
#define PARAMS " with $1, $2, ... from params. "
PyDoc_STRVAR(query_doc, "query($self, sql, params=None, *, timeout=None)\n--\n\n"
                        "Run a statement" PARAMS "All rows, as a list of dicts." TIMEOUT);
PyDoc_STRVAR(query_one_doc,
             "query_one($self, sql, params=None, *, timeout=None, strict=False)\n--\n\n"
             "Run a statement" PARAMS "The first row; NoRows if there is none. strict: TooManyRows\n"
             "if there are more, though the statement has run." TIMEOUT);
PyDoc_STRVAR(query_one_or_none_doc,
             "query_one_or_none($self, sql, params=None, *, timeout=None)\n--\n\n"
             "Run a statement" PARAMS "The first row, or None." TIMEOUT);
PyDoc_STRVAR(query_value_doc,
             "query_value($self, sql, params=None, *, timeout=None)\n--\n\n"
             "Run a statement" PARAMS "The first column of the first row; NoRows if there is none."
             TIMEOUT);
PyDoc_STRVAR(query_values_doc,
             "query_values($self, sql, params=None, *, timeout=None)\n--\n\n"
             "Run a statement" PARAMS "The first column of all rows, as a list." TIMEOUT);
PyDoc_STRVAR(execute_script_doc,
             "execute_script($self, text, *, atomic=True, timeout=None)\n--\n\n"
             "Run any number of statements, without parameters: in the open transaction, else all or\n"
             "none of them; one by itself runs as it is. Settings that they change are as before at the\n"
             "end. An error has the .statement, .line and .position in the script, each from 1.\n"
             "Transaction commands are refused before anything is sent (NotSupportedError), unless\n"
             "atomic is False: then the statements run one after the other, as in psql." TIMEOUT);
PyDoc_STRVAR(execute_doc, "execute($self, sql, params=None, *, timeout=None)\n--\n\n"
                          "Run a statement" PARAMS "The number of rows affected." TIMEOUT);
PyDoc_STRVAR(execute_many_doc,
             "execute_many($self, sql, params_list, *, timeout=None)\n--\n\n"
             "Run a statement once for each of an iterable's params, all or none of them.\n"
             "The number of rows affected; an error names its .row, from 0." TIMEOUT);
PyDoc_STRVAR(commit_doc,
             "commit($self)\n--\n\n"
             "Commit the transaction. TransactionAborted if an earlier error had aborted it: then\n"
             "it is rolled back. Returns the session.");
PyDoc_STRVAR(rollback_doc, "rollback($self)\n--\n\n"
                           "Roll the transaction back. Returns the session.");

#define FAST(name)                                                                                 \
    {                                                                                              \
        #name, (PyCFunction)(void (*)(void))name, METH_FASTCALL | METH_KEYWORDS, name##_doc        \
    }
PyMethodDef hn_statement_methods[] = {
    FAST(query),
    FAST(query_one),
    FAST(query_one_or_none),
    FAST(query_value),
    FAST(query_values),
    FAST(execute),
    FAST(execute_many),
    {"execute_script", (PyCFunction)(void (*)(void))execute_script, METH_VARARGS | METH_KEYWORDS,
     execute_script_doc},
    {"commit", commit, METH_NOARGS, commit_doc},
    {"rollback", rollback, METH_NOARGS, rollback_doc},
    {"_begin", begin, METH_O, NULL},
    {"_savepoint", savepoint, METH_O, NULL},
    {"_release", release, METH_O, NULL},
    {"_rollback_to", rollback_to, METH_O, NULL},
    {"_commit_request", commit_request, METH_NOARGS, NULL},
    {"_rollback_request", rollback_request, METH_NOARGS, NULL},
    {"_enter", (PyCFunction)(void (*)(void))enter_block, METH_FASTCALL, NULL},
    {"_leave", leave_block, METH_O, NULL},
    {"_undo", undo_block, METH_O, NULL},
    {"_undo_now", undo_now, METH_O, NULL},
    {"_set_failed", set_failed, METH_NOARGS, NULL},
    {"_not_entered", not_entered, METH_O, NULL},
    {"_has_block", has_block, METH_O, NULL},
    {"_finalize", finalize, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};
#undef FAST
