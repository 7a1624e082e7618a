/* An operation as Python awaits it: the protocol of a coroutine, and what follows from the outcome
 * in the task that awaits. */
#include "awaited/operation.h"

#include "awaited/inner.h"
#include "error.h"
#include "session/session.h"
#include "session/settle.h"

static PyTypeObject *operation_type;

PyObject *hn_operation_new(hn_session *session, const hn_request *request, hn_time deadline,
                           PyObject *answer)
{
    hn_operation *self = (hn_operation *)operation_type->tp_alloc(operation_type, 0);
    if (self == NULL)
        return NULL;
    self->session = (hn_session *)Py_NewRef((PyObject *)session);
    self->answer = Py_XNewRef(answer);
    self->request = *request;
    Py_XINCREF(self->request.sql);
    Py_XINCREF(self->request.params);
    self->timeout = deadline == HN_NEVER ? HN_NEVER : deadline - hn_now();
    self->armed_fd = -1;
    self->due = HN_NEVER;
    return (PyObject *)self;
}

PyObject *hn_operation_over(hn_session *session, const hn_request *request)
{
    PyObject *self = hn_operation_new(session, request, HN_NEVER, NULL);
    if (self != NULL) {
        ((hn_operation *)self)->life = HN_LIFE_OVER;
        ((hn_operation *)self)->result = Py_NewRef(Py_None);
    }
    return self;
}

/* Let the task wait: a future of its loop, as awaiting one yields it. */
static PySendResult wait_for_future(hn_operation *self, PyObject **result)
{
    hn_future *future = hn_future_new(self->watcher->loop);
    if (future == NULL) {
        hn_operation_leave(self);
        return PYGEN_ERROR;
    }
    Py_XSETREF(self->future, (hn_future *)Py_NewRef(future));
    *result = (PyObject *)future;
    return PYGEN_NEXT;
}

static PyObject *outcome(hn_operation *self)
{
    self->life = HN_LIFE_DONE;
    PyObject *result = self->result;
    self->result = NULL;
    if (self->exception != NULL && self->request.op == HN_OP_UNDO) {
        self->exception = hn_settle_undo_failed(self->session, self->exception);
        if (self->exception == NULL)
            result = Py_NewRef(Py_None);
    }
    if (self->exception != NULL) {
        PyObject *exception = self->exception;
        self->exception = NULL;
        Py_XDECREF(result);
        hn_exception_raise(exception);
        return NULL;
    }
    return result;
}

/* Go on with the coroutine that calls the on_commit functions; their failure is the outcome. */
static PySendResult go_on_settling(hn_operation *self, PyObject *value, PyObject **result)
{
    PyObject *answer = NULL;
    PySendResult sent = hn_inner_send(self, value, &answer);
    if (sent == PYGEN_NEXT) {
        *result = answer;
        return PYGEN_NEXT;
    }
    Py_XDECREF(answer);
    self->life = HN_LIFE_DONE;
    if (sent == PYGEN_ERROR)
        return PYGEN_ERROR;
    *result = outcome(self);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

/* Whether the interpreter is being taken down, and modules with it. */
static bool is_finalizing(void)
{
#if PY_VERSION_HEX >= 0x030d0000
    return Py_IsFinalizing() != 0;
#else
    return _Py_IsFinalizing() != 0;
#endif
}

static void observe(hn_operation *self)
{
    if (self->began != 0)
        hn_settle_observe(self->session->pool, self->request.sql, self->seconds, self->count,
                          self->exception);
}

/* The operation is over, and this its task. */
static PySendResult deliver(hn_operation *self, PyObject **result)
{
    Py_CLEAR(self->future);
    observe(self);
    if (self->hooks != NULL) {
        PyObject *module = hn_inner_helpers();
        PyObject *hooks = self->hooks;
        self->hooks = NULL;
        self->life = HN_LIFE_SETTLING;
        if (module != NULL)
            self->inner = PyObject_CallMethod(module, "call_hooks", "O", hooks);
        Py_DECREF(hooks);
        if (self->inner != NULL)
            return go_on_settling(self, Py_None, result);
        self->life = HN_LIFE_DONE;
        return PYGEN_ERROR;
    }
    *result = outcome(self);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

void hn_operation_settle(hn_operation *self)
{
    self->life = HN_LIFE_DONE;
    if (is_finalizing()) /* of a loop that nobody closed: there is nobody to be told */
        return;
    observe(self);
    PyObject *module = hn_inner_helpers();
    PyObject *answer = NULL;
    if (module != NULL)
        answer = PyObject_CallMethod(
            module, "settle_detached", "OsOO", self->session, self->request.method,
            self->exception != NULL ? self->exception : Py_None,
            self->hooks != NULL ? self->hooks : Py_None);
    if (answer == NULL)
        PyErr_WriteUnraisable((PyObject *)self);
    Py_XDECREF(answer);
}

static bool is_inside(const hn_operation *self)
{
    if (self->inside == 0 || !hn_operation_is_inside(self))
        return false;
    PyErr_SetString(PyExc_ValueError, "the operation is being run already");
    return true;
}

static PySendResult am_send(PyObject *op, PyObject *value, PyObject **result)
{
    hn_operation *self = (hn_operation *)op;
    *result = NULL;
    if (is_inside(self))
        return PYGEN_ERROR;
    if (self->life == HN_LIFE_NEW && hn_operation_start(self) < 0) {
        self->life = HN_LIFE_DONE;
        return PYGEN_ERROR;
    }
    while (hn_operation_is_hungry(self) && !self->detached) {
        Py_CLEAR(self->future);
        if (hn_inner_feed(self, value, result))
            return PYGEN_NEXT;
        value = Py_None;
    }
    if (self->inner != NULL && self->life != HN_LIFE_SETTLING &&
        hn_inner_stop_feeding(self, value, result))
        return PYGEN_NEXT;
    switch (self->life) {
    case HN_LIFE_OVER:
        return deliver(self, result);
    case HN_LIFE_SETTLING:
        return go_on_settling(self, value, result);
    case HN_LIFE_QUEUED:
    case HN_LIFE_RUNNING:
        if (self->future == NULL && !self->detached)
            return wait_for_future(self, result);
        break;
    case HN_LIFE_NEW:
    case HN_LIFE_DONE:
    default:
        break;
    }
    PyErr_Format(PyExc_RuntimeError, "%s() is awaited already; call it anew",
                 self->request.method);
    return PYGEN_ERROR;
}

/* As a generator's: the value is in a StopIteration. */
static PyObject *send(PyObject *op, PyObject *value)
{
    PyObject *result;
    switch (am_send(op, value, &result)) {
    case PYGEN_NEXT:
        return result;
    case PYGEN_RETURN:
        break;
    case PYGEN_ERROR:
    default:
        return NULL;
    }
    PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, result);
    Py_DECREF(result);
    if (stop != NULL) {
        PyErr_SetObject(PyExc_StopIteration, stop);
        Py_DECREF(stop);
    }
    return NULL;
}

static PyObject *iternext(PyObject *op)
{
    return send(op, Py_None);
}

/* Raise what throw() was given. */
static void raise_given(PyObject *type, PyObject *value, PyObject *traceback)
{
    if (PyExceptionInstance_Check(type)) {
        PyErr_SetObject((PyObject *)Py_TYPE(type), type);
    } else if (PyExceptionClass_Check(type)) {
        Py_INCREF(type);
        Py_XINCREF(value);
        Py_XINCREF(traceback);
        PyErr_Restore(type, value, traceback);
    } else {
        PyErr_SetString(PyExc_TypeError, "throw() wants an exception");
    }
}

static PyObject *throw_in(PyObject *op, PyObject *args)
{
    hn_operation *self = (hn_operation *)op;
    PyObject *type, *value = NULL, *traceback = NULL;
    if (!PyArg_ParseTuple(args, "O|OO:throw", &type, &value, &traceback) || is_inside(self))
        return NULL;
    bool interrupted = self->interrupted;
    self->interrupted = false;
    self->told |= interrupted;
    if (self->inner != NULL) {
        PyObject *answer = hn_inner_throw(self, args);
        if (answer != NULL)
            return answer;
        if (self->life == HN_LIFE_SETTLING) { /* StopIteration: swallowed, and all were called */
            self->life = HN_LIFE_DONE;
            return NULL;
        }
        PyErr_Clear();
    }
    if (interrupted)
        return send(op, Py_None);
    Py_INCREF(op);
    hn_operation_leave(self);
    Py_DECREF(op);
    raise_given(type, value == Py_None ? NULL : value, traceback == Py_None ? NULL : traceback);
    return NULL;
}

static PyObject *close_it(PyObject *op, PyObject *unused)
{
    (void)unused;
    hn_operation *self = (hn_operation *)op;
    if (is_inside(self))
        return NULL;
    PyObject *inner = self->inner;
    self->inner = NULL;
    if (self->life == HN_LIFE_SETTLING)
        self->life = HN_LIFE_DONE;
    else
        hn_operation_leave(self);
    if (inner == NULL)
        Py_RETURN_NONE;
    PyObject *answer = PyObject_CallMethod(inner, "close", NULL);
    Py_DECREF(inner);
    return answer;
}

static PyObject *await_it(PyObject *op)
{
    return Py_NewRef(op);
}

/* asyncio's debug mode names coroutines. */
static PyObject *get_name(PyObject *op, void *unused)
{
    (void)unused;
    return PyUnicode_FromString(((hn_operation *)op)->request.method);
}

static PyGetSetDef getters[] = {
    {"__name__", get_name, NULL, NULL, NULL},
    {"__qualname__", get_name, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyObject *repr(PyObject *op)
{
    const hn_operation *self = (hn_operation *)op;
    static const char *const words[] = {"new", "queued", "running", "over", "over", "done"};
    return PyUnicode_FromFormat("<%s() of request %R, %s>", self->request.method,
                                self->session->request_id, words[self->life]);
}

static int traverse(PyObject *op, visitproc visit, void *arg)
{
    hn_operation *self = (hn_operation *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->session);
    Py_VISIT(self->answer);
    Py_VISIT(self->request.params);
    Py_VISIT(self->context);
    Py_VISIT(self->future);
    Py_VISIT(self->result);
    Py_VISIT(self->exception);
    Py_VISIT(self->hooks);
    Py_VISIT(self->rows);
    Py_VISIT(self->inner);
    Py_VISIT(self->supply);
    return 0;
}

/* session and request stay: see there. */
static int clear(PyObject *op)
{
    hn_operation *self = (hn_operation *)op;
    Py_CLEAR(self->answer);
    Py_CLEAR(self->context);
    Py_CLEAR(self->future);
    Py_CLEAR(self->result);
    Py_CLEAR(self->exception);
    Py_CLEAR(self->hooks);
    Py_CLEAR(self->rows);
    Py_CLEAR(self->inner);
    Py_CLEAR(self->supply);
    return 0;
}

static bool ends_block(const hn_operation *self)
{
    return self->request.op == HN_OP_LEAVE || self->request.op == HN_OP_UNDO;
}

static void finalize(PyObject *op)
{
    hn_operation *self = (hn_operation *)op;
    PyObject *exception = hn_exception_take();
    if (self->life == HN_LIFE_NEW && ends_block(self)) {
        /* Something was raised between the end of the block and the await. */
        self->request.op = HN_OP_UNDO;
        if (hn_operation_start(self) < 0)
            PyErr_Clear(); /* no loop runs here: the end of the session rolls back */
    } else if (self->life == HN_LIFE_NEW &&
        PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "%s() of request %R was never awaited",
                         self->request.method, self->session->request_id) < 0)
        PyErr_WriteUnraisable(op);
    if (self->life == HN_LIFE_QUEUED || self->life == HN_LIFE_RUNNING || ends_block(self))
        hn_operation_leave(self); /* detached, it has a reference again */
    if (exception != NULL)
        hn_exception_raise(exception);
}

static void dealloc(PyObject *op)
{
    hn_operation *self = (hn_operation *)op;
    if (PyObject_CallFinalizerFromDealloc(op) < 0)
        return;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    clear(op);
    Py_CLEAR(self->request.sql);
    Py_CLEAR(self->request.params);
    Py_CLEAR(self->session);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"send", send, METH_O, NULL},
    {"throw", throw_in, METH_VARARGS, NULL},
    {"close", close_it, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static char type_doc[] = "What a method of AsyncDbSession returns; it begins when it is awaited.";

static PyType_Slot slots[] = {
    {Py_am_await, await_it},   {Py_am_send, am_send},     {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, iternext}, {Py_tp_methods, methods},  {Py_tp_repr, repr},
    {Py_tp_traverse, traverse}, {Py_tp_clear, clear},      {Py_tp_finalize, finalize},
    {Py_tp_dealloc, dealloc},   {Py_tp_getset, getters},   {Py_tp_doc, type_doc},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "hypern._native.Operation",
    .basicsize = sizeof(hn_operation),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

int hn_operation_ready(PyObject *module)
{
    if (operation_type == NULL)
        operation_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return operation_type == NULL ? -1 : PyModule_AddType(module, operation_type);
}
