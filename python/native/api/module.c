/* hypern._native: the extension module's start, and the functions that belong to no object. */
#define PY_SSIZE_T_CLEAN
#include "api/async_session.h"
#include "api/codec.h"
#include "api/future.h"
#include "api/guard.h"
#include "api/kinds.h"
#include "api/maker.h"
#include "api/operation.h"
#include "api/pool.h"
#include "api/row_class.h"
#include "api/session.h"
#include "api/text.h"
#include "awaited/loop.h"
#include "awaited/reactor.h"
#include "buf.h"
#include "core/core.h"
#include "engine/engine.h"
#include "error.h"
#include "native.h"
#include "session/index.h"
#include "values/codec.h"

static PyObject *sessions(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    (void)module;
    if (nargs != 2 || !PyUnicode_Check(args[0]) ||
        !(args[1] == Py_None || PyUnicode_Check(args[1])))
        return PyErr_Format(PyExc_TypeError,
                            "sessions() requires a request id and an alias or None");
    return hn_index_list(args[0], args[1] == Py_None ? NULL : args[1]);
}

/* What the core reports about itself; `absent` if it is not loaded. */
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
        return PyErr_Format(PyExc_TypeError, "thread_of() requires a Session, not %s",
                            Py_TYPE(session)->tp_name);
    return PyLong_FromUnsignedLong(((hn_view *)session)->lock.user);
}

/* Drives for a moment the awaited operation of a session whose loop cannot, because the calling
 * thread keeps it from running. False if there is none. */
static PyObject *drive(PyObject *module, PyObject *session)
{
    (void)module;
    if (!PyObject_TypeCheck(session, hn_session_type))
        return PyErr_Format(PyExc_TypeError, "drive() requires a Session, not %s",
                            Py_TYPE(session)->tp_name);
    const hn_lock *lock = &((hn_view *)session)->lock;
    hn_waiter *holder = lock->owner == HN_NO_THREAD ? lock->holder : NULL;
    if (holder == NULL || !holder->functions->must_be_driven(holder))
        Py_RETURN_FALSE;
    if (holder->functions->drive(holder, hn_now() + HN_TICK_MS * HN_MS) < 0)
        return NULL;
    Py_RETURN_TRUE;
}

/* Runs a generator of steps to its end, each result sent back as it is: hypern.session.steps.now.
 * In C, since with a loop in Python a request with one query took 14.6 us of the client's processor
 * time, and takes 13.4 (pinned to one core). */
static PyObject *now(PyObject *module, PyObject *steps)
{
    (void)module;
    if (!PyGen_Check(steps))
        return PyErr_Format(PyExc_TypeError, "now() requires a generator, not %s",
                            Py_TYPE(steps)->tp_name);
    PyObject *value = Py_NewRef(Py_None);
    PySendResult sent;
    do {
        PyObject *next;
        sent = PyIter_Send(steps, value, &next);
        Py_DECREF(value);
        value = next;
    } while (sent == PYGEN_NEXT);
    return value;
}

static PyObject *core_loaded(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyBool_FromLong(hn_core_loaded());
}

/* pool_call(name, given): an operation of HN_POOL_OPS, and what it answers: (int, bytes). */
static PyObject *pool_call(PyObject *module, PyObject *args)
{
    (void)module;
    static const char *const names[] = {
#define X(name, doc) #name,
        HN_POOL_OPS(X)
#undef X
    };
    const char *name, *given;
    Py_ssize_t len;
    if (!PyArg_ParseTuple(args, "ss#:pool_call", &name, &given, &len))
        return NULL;
    int32_t op = 0, count = (int32_t)(sizeof names / sizeof *names);
    while (op < count && strcmp(names[op], name) != 0)
        op++;
    if (op == count)
        return PyErr_Format(PyExc_ValueError, "pool_call() has no '%s'", name);
    if (!hn_core_loaded()) {
        hn_raise("InterfaceError", "the core is not loaded");
        return NULL;
    }
    hn_buf out = {NULL, 0, 0};
    int32_t answer = hn_go.hypern_pool(op, given, len, &out);
    PyObject *result = NULL;
    if (answer < 0)
        hn_raise_core(out.data, out.len);
    else
        result = Py_BuildValue("iy#", answer, out.data == NULL ? "" : (const char *)out.data,
                               (Py_ssize_t)out.len);
    hn_buf_free(&out);
    return result;
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
    PyObject *returned = ask(HN_POOL_PANIC, "");
    if (returned == NULL)
        return NULL;
    Py_DECREF(returned);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"sessions", (PyCFunction)(void (*)(void))sessions, METH_FASTCALL, NULL},
    {"thread_of", thread_of, METH_O, NULL},
    {"drive", drive, METH_O, NULL},
    {"now", now, METH_O, NULL},
    {"core_loaded", core_loaded, METH_NOARGS, NULL},
    {"pool_call", pool_call, METH_VARARGS, NULL},
    {"left_open", left_open, METH_NOARGS, NULL},
    {"debug", debug, METH_NOARGS, NULL},
    {"_panic", panic_now, METH_NOARGS, NULL},
    {"_transition", hn_operation_transition, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static int execute(PyObject *module)
{
    /* The process-wide statics and the core itself belong to one interpreter. */
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError, "hypern cannot be used in a sub-interpreter; use it in "
                                           "the main interpreter, with threads or processes");
        return -1;
    }
    hn_engine_ready();
    if (hn_core_locate(module) < 0 || hn_codec_init() < 0 || hn_row_class_ready() < 0 ||
        hn_maker_ready(module) < 0 || PyModule_AddFunctions(module, hn_codec_methods) < 0 ||
        PyModule_AddFunctions(module, hn_text_methods) < 0 || hn_batch_ready(module) < 0 ||
        hn_session_ready(module) < 0 || hn_pool_ready(module) < 0 || hn_loop_ready() < 0 ||
        hn_reactor_ready() < 0 || hn_future_ready() < 0 || hn_operation_type_ready(module) < 0 ||
        hn_async_session_ready(module) < 0 || hn_block_ready(module) < 0 ||
        hn_scope_ready(module) < 0)
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
