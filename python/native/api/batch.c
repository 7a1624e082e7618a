/* What hypern.session.batch calls: statements as they are given, and several in one write. */
#include "api/kinds.h"
#include "api/text.h"
#include "drive/wait.h"
#include "values/codec.h"

/* statement(sql, params, into, word): what they stand for, as _batch takes it: text, parameters,
 * shape of rows, row class, word and into. The parameters are copied, since they are sent later. */
static PyObject *statement(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    (void)module;
    if (nargs != 4)
        return PyErr_Format(PyExc_TypeError, "statement() takes four arguments");
    hn_request request = {.shape = HN_ROW_DICT};
    if (hn_take_into(&request, args[2]) < 0)
        return NULL;
    PyObject *sql = args[0], *params = args[1] == Py_None ? NULL : args[1];
    PyObject *resolved = NULL, *text = NULL, *copy = NULL, *given = NULL;
    if (!hn_text_is_plain(sql, params)) {
        resolved = hn_text_resolve(sql, params);
        if (resolved == NULL) {
            Py_XDECREF(request.into);
            return NULL;
        }
        sql = PyTuple_GET_ITEM(resolved, 0);
        params = PyTuple_GET_ITEM(resolved, 1);
    }
    text = hn_check_sql(sql);
    if (text != NULL && hn_check_params(params, -1) == 0) {
        bool has_params = params != NULL && params != Py_None;
        copy = has_params ? PySequence_Tuple(params) : Py_NewRef(Py_None);
    }
    if (copy != NULL)
        given = Py_BuildValue("OOiOOO", text, copy, (int)request.shape,
                              request.into == NULL ? Py_None : request.into, args[3], args[2]);
    Py_XDECREF(request.into);
    Py_XDECREF(text);
    Py_XDECREF(copy);
    Py_XDECREF(resolved);
    return given;
}

/* _batch(statements, timeout): of the first of them, all that run in one go, a (value, error,
 * count) each. */
static PyObject *batch(PyObject *self, PyObject *args)
{
    PyObject *list, *timeout;
    hn_time deadline;
    hn_request request = {.op = HN_OP_BATCH, .mode = HN_MODE_NOTHING, .method = "batch"};
    if (!PyArg_ParseTuple(args, "O!O:_batch", &PyList_Type, &list, &timeout) ||
        hn_deadline(timeout, &deadline, &request.timeout) < 0)
        return NULL;
    request.params = list;
    return hn_do(self, &request, deadline, false);
}

PyMethodDef hn_batch_methods[] = {
    {"_batch", batch, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

PyMethodDef hn_batch_functions[] = {
    {"statement", (PyCFunction)(void (*)(void))statement, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};
