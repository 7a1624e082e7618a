/* The methods of a session, awaited or not, that begin and end transactions, blocks and the
 * session. */
#include "api/kinds.h"
#include "api/operation.h"
#include "core/core.h"
#include "drive/run.h"
#include "drive/settle.h"
#include "drive/wait.h"
#include "error.h"

/* A command without rows, named or not. chained: it returns the session. */
static PyObject *command(PyObject *self, hn_op op, const char *method, PyObject *text, bool chained)
{
    PyObject *sql = text == NULL ? NULL : hn_check_sql(text);
    if (text != NULL && sql == NULL)
        return NULL;
    hn_request request = {.op = op, .sql = sql, .mode = HN_MODE_NOTHING, .method = method};
    request.timeout = -1;
    PyObject *result = hn_do(self, &request, HN_NEVER, chained);
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

static PyObject *give_back(PyObject *self, PyObject *unused)
{
    (void)unused;
    return command(self, HN_OP_GIVE_BACK, "release", NULL, true);
}

static PyObject *begin(PyObject *self, PyObject *sql)
{
    return command(self, HN_OP_BEGIN, "begin", sql, true);
}

/* settings: JSON, see hypern.session.settings. */
static PyObject *set_local(PyObject *self, PyObject *settings)
{
    return command(self, HN_OP_SET_LOCAL, "set_local", settings, true);
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
    hn_request request = {
        .op = HN_OP_COMMIT, .mode = HN_MODE_NOTHING, .flags = HN_IN_REQUEST, .timeout = -1};
    request.method = "commit";
    return hn_do(self, &request, HN_NEVER, false);
}

static PyObject *rollback_request(PyObject *self, PyObject *unused)
{
    (void)unused;
    hn_request request = {
        .op = HN_OP_ROLLBACK, .mode = HN_MODE_NOTHING, .flags = HN_IN_REQUEST, .timeout = -1};
    request.method = "rollback";
    return hn_do(self, &request, HN_NEVER, false);
}

/* transaction() blocks, by number: see api/guard.h. */

static PyObject *enter_block(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2 || !PyLong_Check(args[0]) || !PyUnicode_Check(args[1]))
        return PyErr_Format(PyExc_TypeError, "_enter() requires a block's number and its text");
    hn_request request = {
        .op = HN_OP_ENTER, .sql = args[1], .mode = HN_MODE_NOTHING, .timeout = -1};
    request.block = (uint32_t)PyLong_AsUnsignedLong(args[0]);
    request.method = "_enter";
    if (PyErr_Occurred())
        return NULL;
    return hn_do(self, &request, HN_NEVER, true);
}

static PyObject *end_block(PyObject *self, hn_op op, const char *method, PyObject *number)
{
    hn_request request = {.op = op, .mode = HN_MODE_NOTHING, .method = method, .timeout = -1};
    request.block = (uint32_t)PyLong_AsUnsignedLong(number);
    return PyErr_Occurred() ? NULL : hn_do(self, &request, HN_NEVER, false);
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
    hn_view *self = hn_view_of(op);
    hn_request request = {
        .op = HN_OP_UNDO, .mode = HN_MODE_NOTHING, .method = "_undo", .timeout = -1};
    request.block = (uint32_t)PyLong_AsUnsignedLong(number);
    if (PyErr_Occurred())
        return NULL;
    PyObject *done = hn_run(self, &request, HN_NEVER);
    PyObject *exception =
        done != NULL ? NULL : hn_settle_undo_failed((PyObject *)self, hn_exception_take());
    Py_XDECREF(done);
    if (exception == NULL)
        return hn_operation_over(self, &request);
    hn_exception_raise(exception);
    return NULL;
}

/* The core's flags after something that needs no server; -1 with an exception. */
static int64_t ask_about_block(PyObject *op, int what, PyObject *number)
{
    const hn_view *self = hn_view_of(op);
    long block = PyLong_AsLong(number);
    if ((block == -1 && PyErr_Occurred()) || hn_target_check(&self->target) < 0)
        return -1;
    return hn_go.hypern_state(self->target.handle, what, (int32_t)block);
}

static PyObject *set_failed(PyObject *op, PyObject *unused)
{
    (void)unused;
    const hn_view *self = hn_view_of(op);
    if (hn_target_check(&self->target) < 0)
        return NULL;
    hn_go.hypern_state(self->target.handle, HN_SET_FAILED, 1);
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
    return hn_do(self, &request, until, false);
}

PyDoc_STRVAR(commit_doc,
             "commit($self)\n--\n\n"
             "Commit the transaction. TransactionAborted if an earlier error had aborted it: then\n"
             "it is rolled back. Returns the session.");
PyDoc_STRVAR(rollback_doc, "rollback($self)\n--\n\n"
                           "Roll the transaction back. Returns the session.");

PyDoc_STRVAR(
    release_doc,
    "release($self)\n--\n\n"
    "Give the connection back before the request ends, for instance ahead of a long wait for\n"
    "something else. The next statement takes a connection again, reset like any other: what\n"
    "SET, temporary tables and advisory locks have left is gone. An open stream ends.\n"
    "InterfaceError if a transaction is open. Returns the session.");

PyMethodDef hn_transaction_methods[] = {
    {"commit", commit, METH_NOARGS, commit_doc},
    {"rollback", rollback, METH_NOARGS, rollback_doc},
    {"release", give_back, METH_NOARGS, release_doc},
    {"_begin", begin, METH_O, NULL},
    {"_set_local", set_local, METH_O, NULL},
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
