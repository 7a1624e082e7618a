/* The methods of a session, awaited or not, that run a statement. */
#include "api/kinds.h"
#include "api/operation.h"
#include "api/text.h"
#include "drive/wait.h"

/* Arguments of a statement call: (sql, second, *, timeout). sql is a reference. */
typedef struct arguments {
    PyObject *sql;
    PyObject *second;
    PyObject *resolved; /* keeps second where it is not the caller's; or NULL */
    PyObject *into;     /* borrowed; or NULL */
    bool strict;        /* query_one only */
    hn_time deadline;
    double timeout; /* in seconds; below 0 if there is none */
} arguments;

enum { SLOTS = 5 };

static bool takes_into(const char *method)
{
    return strcmp(method, "query") == 0 || strcmp(method, "query_one") == 0 ||
           strcmp(method, "query_one_or_none") == 0 || strcmp(method, "query_many") == 0;
}

static int place(const char *method, const char *second, PyObject *name, PyObject *value,
                 PyObject *slot[SLOTS])
{
    const char *const names[SLOTS] = {"sql", second, "timeout", "into", "strict"};
    for (size_t i = 0; i < SLOTS; i++) {
        if ((i == 3 && !takes_into(method)) || (i == 4 && strcmp(method, "query_one") != 0))
            continue;
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

/* Puts the text and the parameters that the arguments stand for in their place. The text is
 * borrowed. */
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
    PyObject *slot[SLOTS] = {NULL};
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
    a->into = slot[3];
    int strict = slot[4] == NULL ? 0 : PyObject_IsTrue(slot[4]);
    if (strict < 0 || resolve(a, &slot[0], second_required) < 0)
        return -1;
    a->strict = strict != 0;
    a->sql = hn_check_sql(slot[0]);
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
        if (mode == HN_MODE_RESULT) {
            request.shape = HN_ROW_TUPLE;
            request.flags = HN_IN_TAG;
        }
        request.method = method;
        request.timeout = a.timeout;
        if (hn_take_into(&request, a.into) == 0)
            result = hn_do(self, &request, a.deadline, false);
        Py_CLEAR(request.into);
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
STATEMENT(result, HN_MODE_RESULT)
STATEMENT(execute, HN_MODE_COUNT)
#undef STATEMENT

static PyObject *run_many(const char *method, const char *rows, hn_mode mode, PyObject *self,
                          PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    arguments a = {.resolved = NULL};
    if (read_arguments(method, rows, true, args, nargs, kwnames, &a) < 0)
        return NULL;
    hn_request request = {.op = HN_OP_MANY, .sql = a.sql, .params = a.second, .mode = mode};
    const PyAsyncMethods *async = Py_TYPE(a.second)->tp_as_async;
    request.is_fed = !hn_is_blocking(self) && async != NULL && async->am_aiter != NULL;
    request.method = method;
    request.timeout = a.timeout;
    PyObject *result = NULL;
    if (hn_take_into(&request, a.into) == 0)
        result = hn_do(self, &request, a.deadline, false);
    if (result != NULL && request.is_fed)
        result = hn_operation_fed(result, a.second);
    Py_CLEAR(request.into);
    clear_arguments(&a);
    return result;
}

static PyObject *execute_many(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *kwnames)
{
    return run_many("execute_many", "params_list", HN_MODE_COUNT, self, args, nargs, kwnames);
}

static PyObject *query_many(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                            PyObject *kwnames)
{
    return run_many("query_many", "rows", HN_MODE_ROWS, self, args, nargs, kwnames);
}

static PyObject *describe(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"sql", "timeout", NULL};
    PyObject *sql, *timeout = NULL, *resolved = NULL, *result = NULL;
    hn_time deadline;
    hn_request request = {.op = HN_OP_STATEMENT, .mode = HN_MODE_DESCRIBE, .method = "describe"};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$O:describe", names, &sql, &timeout) ||
        hn_deadline(timeout, &deadline, &request.timeout) < 0)
        return NULL;
    if (!hn_text_is_plain(sql, NULL)) {
        resolved = hn_text_resolve(sql, NULL);
        if (resolved == NULL)
            return NULL;
        sql = PyTuple_GET_ITEM(resolved, 0);
    }
    request.sql = hn_check_sql(sql);
    if (request.sql != NULL)
        result = hn_do(self, &request, deadline, false);
    Py_XDECREF(request.sql);
    Py_XDECREF(resolved);
    return result;
}

static PyObject *execute_script(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"text", "atomic", "timeout", NULL};
    PyObject *text, *timeout = NULL;
    int atomic = 1;
    hn_time deadline;
    hn_request request = {.op = HN_OP_SCRIPT, .mode = HN_MODE_NOTHING, .method = "execute_script"};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$pO:execute_script", names, &text, &atomic,
                                     &timeout) ||
        hn_deadline(timeout, &deadline, &request.timeout) < 0)
        return NULL;
    PyObject *resolved = hn_text_resolve_script(text);
    if (resolved == NULL)
        return NULL;
    request.sql = hn_check_sql(resolved);
    Py_DECREF(resolved);
    if (request.sql == NULL)
        return NULL;
    request.flags = atomic ? 0 : HN_IN_STEPWISE;
    PyObject *result = hn_do(self, &request, deadline, false);
    Py_DECREF(request.sql);
    return result;
}

#define TIMEOUT                                                                                    \
    "\n\ntimeout: seconds for waiting and running; then the statement is cancelled "               \
    "(QueryCanceled).\n"                                                                           \
    "If the server does not confirm that in time, its connection is closed (ConnectionLost). If "  \
    "no\n"                                                                                         \
    "connection came free, it is PoolTimeout."
#define INTO                                                                                       \
    "\n\ninto: what a row is: dict, tuple, a TypedDict, NamedTuple, dataclass, msgspec.Struct, "   \
    "attrs\n"                                                                                      \
    "class, pydantic model, or any callable, which is called with the columns by keyword. "        \
    "Columns\n"                                                                                    \
    "and fields that do not match are RowMismatch, and the statement is not run."
#define PARAMS " with $1, $2, ... from params. "
PyDoc_STRVAR(query_doc, "query($self, sql, params=None, *, into=dict, timeout=None)\n--\n\n"
                        "Run a statement" PARAMS "All rows, as a list." INTO TIMEOUT);
PyDoc_STRVAR(query_one_doc,
             "query_one($self, sql, params=None, *, into=dict, timeout=None, strict=False)\n--\n\n"
             "Run a statement" PARAMS
             "The first row; NoRows if there is none. strict: TooManyRows\n"
             "if there are more, though the statement has run." INTO TIMEOUT);
PyDoc_STRVAR(query_one_or_none_doc,
             "query_one_or_none($self, sql, params=None, *, into=dict, timeout=None)\n--\n\n"
             "Run a statement" PARAMS "The first row, or None." INTO TIMEOUT);
PyDoc_STRVAR(query_value_doc,
             "query_value($self, sql, params=None, *, timeout=None)\n--\n\n"
             "Run a statement" PARAMS
             "The first column of the first row; NoRows if there is none." TIMEOUT);
PyDoc_STRVAR(query_values_doc,
             "query_values($self, sql, params=None, *, timeout=None)\n--\n\n"
             "Run a statement" PARAMS "The first column of all rows, as a list." TIMEOUT);
PyDoc_STRVAR(
    execute_script_doc,
    "execute_script($self, text, *, atomic=True, timeout=None)\n--\n\n"
    "Run any number of statements, without parameters: in the open transaction, else all or\n"
    "none of them; one by itself runs as it is. Settings that they change are as before at the\n"
    "end. An error has the .statement, .line and .position in the script, each from 1.\n"
    "Transaction commands are refused before anything is sent (NotSupportedError), unless\n"
    "atomic is False: then the statements run one after the other, as in psql." TIMEOUT);
PyDoc_STRVAR(execute_doc, "execute($self, sql, params=None, *, timeout=None)\n--\n\n"
                          "Run a statement" PARAMS "The number of rows affected." TIMEOUT);
PyDoc_STRVAR(result_doc, "result($self, sql, params=None, *, timeout=None)\n--\n\n"
                         "Run a statement" PARAMS "A Result: the columns, which are known without\n"
                         "rows too, the rows as tuples, the count and the command tag." TIMEOUT);
PyDoc_STRVAR(describe_doc,
             "describe($self, sql, *, timeout=None)\n--\n\n"
             "A Description of a statement, which is not run: its parameters and columns." TIMEOUT);
PyDoc_STRVAR(execute_many_doc,
             "execute_many($self, sql, params_list, *, timeout=None)\n--\n\n"
             "Run a statement once for each of an iterable's params, all or none of them.\n"
             "The number of rows affected; an error names its .row, from 0." TIMEOUT);
PyDoc_STRVAR(query_many_doc,
             "query_many($self, sql, rows, *, into=dict, timeout=None)\n--\n\n"
             "Run a statement once for each of an iterable's params, all or none of them.\n"
             "The rows that they return, in this order; an error names its .row, from 0." TIMEOUT);
#define FAST(name)                                                                                 \
    {#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL | METH_KEYWORDS, name##_doc}
PyMethodDef hn_statement_methods[] = {
    FAST(query),
    FAST(query_one),
    FAST(query_one_or_none),
    FAST(query_value),
    FAST(query_values),
    FAST(result),
    FAST(execute),
    FAST(execute_many),
    FAST(query_many),
    {"describe", (PyCFunction)(void (*)(void))describe, METH_VARARGS | METH_KEYWORDS, describe_doc},
    {"execute_script", (PyCFunction)(void (*)(void))execute_script, METH_VARARGS | METH_KEYWORDS,
     execute_script_doc},
    {NULL, NULL, 0, NULL},
};
#undef FAST
