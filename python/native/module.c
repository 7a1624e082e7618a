/* hypern._native: the extension module's start, and the functions that belong to no object. */
#include "native.h"

#include "awaited/awaited.h"
#include "awaited/loop.h"
#include "awaited/operation.h"
#include "buf.h"
#include "core/core.h"
#include "error.h"
#include "session/guard.h"
#include "session/index.h"
#include "session/pool.h"
#include "session/session.h"
#include "session/text.h"
#include "values/codec.h"
#include "values/codec_py.h"

static PyObject *sessions(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    (void)module;
    if (nargs != 2 || !PyUnicode_Check(args[0]) || !(args[1] == Py_None || PyUnicode_Check(args[1])))
        return PyErr_Format(PyExc_TypeError, "sessions() wants a request id and an alias or None");
    return hn_index_list(args[0], args[1] == Py_None ? NULL : args[1]);
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

/* The thread that used a session last; an awaited statement's is its loop's. */
static PyObject *thread_of(PyObject *module, PyObject *session)
{
    (void)module;
    if (!PyObject_TypeCheck(session, hn_session_type))
        return PyErr_Format(PyExc_TypeError, "thread_of() wants a Session, not %s",
                            Py_TYPE(session)->tp_name);
    return PyLong_FromUnsignedLong(((hn_session *)session)->lock.user);
}

/* Go on, for a moment, with the awaited operation of a session whose loop the calling thread keeps from
 * doing so. False: there is none. */
static PyObject *drive(PyObject *module, PyObject *session)
{
    (void)module;
    if (!PyObject_TypeCheck(session, hn_session_type))
        return PyErr_Format(PyExc_TypeError, "drive() wants a Session, not %s",
                            Py_TYPE(session)->tp_name);
    const hn_lock *lock = &((hn_session *)session)->lock;
    if (lock->owner != HN_AWAITED || !hn_operation_is_stranded(lock->awaited))
        Py_RETURN_FALSE;
    if (hn_operation_drive(lock->awaited, hn_now() + HN_TICK_MS * HN_MS) < 0)
        return NULL;
    Py_RETURN_TRUE;
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
    {"sessions", (PyCFunction)(void (*)(void))sessions, METH_FASTCALL, NULL},
    {"thread_of", thread_of, METH_O, NULL},
    {"drive", drive, METH_O, NULL},
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
        PyModule_AddFunctions(module, hn_codec_methods) < 0 ||
        PyModule_AddFunctions(module, hn_text_methods) < 0 || hn_session_ready(module) < 0 ||
        hn_pool_ready(module) < 0 || hn_loop_ready() < 0 || hn_watcher_ready() < 0 ||
        hn_operation_ready(module) < 0 || hn_awaited_ready(module) < 0 ||
        hn_block_ready(module) < 0 || hn_scope_ready(module) < 0)
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
