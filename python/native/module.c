/* hypern._native: the extension module's start, and the functions that belong to no object. */
#include "native.h"

#include "awaited/awaited.h"
#include "awaited/loop.h"
#include "awaited/operation.h"
#include "buf.h"
#include "core/core.h"
#include "error.h"
#include "session/pool.h"
#include "session/session.h"
#include "values/codec.h"
#include "values/codec_py.h"

static PyObject *sessions(PyObject *module, PyObject *args)
{
    (void)module;
    const char *request, *alias;
    Py_ssize_t request_len, alias_len = 0;
    if (!PyArg_ParseTuple(args, "s#z#:sessions", &request, &request_len, &alias, &alias_len))
        return NULL;
    PyObject *list = PyList_New(0);
    if (list == NULL || !hn_core_loaded())
        return list;
    hn_buf out = {NULL, 0, 0};
    int n = hn_go.hypern_find(request, request_len, alias, alias_len, &out);
    if (n < 0) {
        hn_raise_core(out.data, out.len);
        Py_CLEAR(list);
    }
    for (int i = 0; i < n && list != NULL; i++) {
        int64_t handle;
        memcpy(&handle, out.data + (size_t)i * sizeof handle, sizeof handle);
        PyObject *view = hn_session_find(handle);
        if ((view == NULL && PyErr_Occurred()) || (view != NULL && PyList_Append(list, view) < 0))
            Py_CLEAR(list);
        Py_XDECREF(view);
    }
    hn_buf_free(&out);
    return list;
}

/* What the core answers to a question about itself; without a core, `absent`. */
static PyObject *ask(hn_pool_op what, const char *absent)
{
    if (!hn_core_loaded())
        return PyBytes_FromString(absent);
    hn_buf out = {NULL, 0, 0};
    PyObject *result = NULL;
    if (hn_go.hypern_pool((int32_t)what, NULL, 0, &out) < 0)
        hn_raise_core(out.data, out.len);
    else
        result = PyBytes_FromStringAndSize((const char *)out.data, (Py_ssize_t)out.len);
    hn_buf_free(&out);
    return result;
}

static PyObject *core_loaded(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyBool_FromLong(hn_core_loaded());
}

static PyObject *left_open(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return ask(HN_POOL_LEFT, "[]");
}

static PyObject *debug(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return ask(HN_POOL_DEBUG, "{}");
}

static PyObject *panic_now(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    if (hn_core_load() < 0)
        return NULL;
    PyObject *answer = ask(HN_POOL_PANIC, "");
    if (answer == NULL)
        return NULL;
    Py_DECREF(answer);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"sessions", sessions, METH_VARARGS, NULL},
    {"core_loaded", core_loaded, METH_NOARGS, NULL},
    {"left_open", left_open, METH_NOARGS, NULL},
    {"debug", debug, METH_NOARGS, NULL},
    {"_panic", panic_now, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static int execute(PyObject *module)
{
    /* The process-wide statics and the core itself know one interpreter. */
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError, "hypern cannot be used in a sub-interpreter; use it in "
                                           "the main interpreter, with threads or processes");
        return -1;
    }
    if (hn_core_locate(module) < 0 || hn_codec_init() < 0 ||
        PyModule_AddFunctions(module, hn_codec_methods) < 0 || hn_session_ready(module) < 0 ||
        hn_pool_ready(module) < 0 || hn_loop_ready() < 0 || hn_watcher_ready() < 0 ||
        hn_operation_ready(module) < 0 || hn_awaited_ready(module) < 0)
        return -1;
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)execute},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "hypern._native",
    .m_doc = "The boundary between hypern's Python package and its core.",
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModuleDef_Init(&definition);
}
