/* Operation: what a method of AsyncDbSession returns, with the protocol of a coroutine. What
 * follows from the outcome happens here, in the task that awaits it. */
#include "api/operation.h"

#include <string.h>

#include "awaited/cooperative.h"
#include "awaited/operation.h"
#include "drive/settle.h"
#include "error.h"

static PyTypeObject *operation_type;

PyObject *hn_operation_new(hn_view *session, const hn_request *request, hn_time deadline,
                           PyObject *returns)
{
    hn_operation *self = (hn_operation *)operation_type->tp_alloc(operation_type, 0);
    if (self == NULL)
        return NULL;
    hn_operation_init(self, session, request, deadline, returns);
    self->turn.functions = &hn_cooperative_functions;
    return (PyObject *)self;
}

PyObject *hn_operation_over(hn_view *session, const hn_request *request)
{
    PyObject *self = hn_operation_new(session, request, HN_NEVER, NULL);
    if (self != NULL) {
        ((hn_operation *)self)->phase = HN_PHASE_OVER;
        ((hn_operation *)self)->outcome.result = Py_NewRef(Py_None);
    }
    return self;
}

/* Has the task wait for a new future of its loop. */
static PySendResult wait_for_future(hn_operation *self, PyObject **result)
{
    hn_future *future = hn_future_new(hn_reactor_loop(self->entry.reactor));
    if (future == NULL) {
        hn_operation_on(self, HN_EVENT_LEFT);
        return PYGEN_ERROR;
    }
    Py_XSETREF(self->future, (hn_future *)Py_NewRef(future));
    *result = (PyObject *)future;
    return PYGEN_NEXT;
}

static PyObject *outcome(hn_operation *self)
{
    self->phase = HN_PHASE_DONE;
    PyObject *result = self->outcome.result;
    self->outcome.result = NULL;
    if (self->outcome.exception != NULL && self->request.op == HN_OP_UNDO) {
        self->outcome.exception =
            hn_settle_undo_failed((PyObject *)self->session, self->outcome.exception);
        if (self->outcome.exception == NULL)
            result = Py_NewRef(Py_None);
    }
    if (self->outcome.exception != NULL) {
        PyObject *exception = self->outcome.exception;
        self->outcome.exception = NULL;
        Py_XDECREF(result);
        hn_exception_raise(exception);
        return NULL;
    }
    return result;
}

/* Resumes the coroutine that calls the on_commit functions; their failure is the outcome. */
static PySendResult go_on_settling(hn_operation *self, PyObject *value, PyObject **result)
{
    PyObject *none = NULL;
    PySendResult sent = hn_feeder_send(&self->feeder, value, &none);
    if (sent == PYGEN_NEXT) {
        *result = none;
        return PYGEN_NEXT;
    }
    Py_XDECREF(none);
    self->phase = HN_PHASE_DONE;
    if (sent == PYGEN_ERROR)
        return PYGEN_ERROR;
    *result = outcome(self);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

/* The operation is over, and this is its task. */
static PySendResult deliver(hn_operation *self, PyObject **result)
{
    Py_CLEAR(self->future);
    hn_outcome_observe(&self->outcome, self->session, &self->request);
    if (self->outcome.hooks == NULL) {
        *result = outcome(self);
        return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
    }
    PyObject *hooks = self->outcome.hooks;
    self->outcome.hooks = NULL;
    self->phase = HN_PHASE_SETTLING;
    int rc = hn_feeder_begin(&self->feeder, "call_hooks", hooks);
    Py_DECREF(hooks);
    if (rc == 0)
        return go_on_settling(self, Py_None, result);
    self->phase = HN_PHASE_DONE;
    return PYGEN_ERROR;
}

/* While rows are collected, what the user's code does with the session cannot wait. */
static void enter(hn_operation *self)
{
    if (self->phase == HN_PHASE_RUNNING)
        self->inside = PyThread_get_thread_ident();
}

static void leave(hn_operation *self)
{
    self->inside = 0;
}

/* Resumes the collecting of rows, and feeds the operation with them. Whether the task has to
 * wait. */
static bool feed(hn_operation *self, PyObject *value, PyObject **result)
{
    PySendResult sent = PYGEN_ERROR;
    if (self->feeder.coroutine != NULL ||
        hn_feeder_begin(&self->feeder, "take_rows", self->rows) == 0) {
        enter(self);
        sent = hn_feeder_send(&self->feeder, value, result);
        leave(self);
    }
    if (sent == PYGEN_NEXT)
        return true;
    PyObject *taken = *result;
    *result = NULL;
    if (sent == PYGEN_ERROR)
        hn_operation_feed(self, NULL, false);
    else
        hn_operation_feed(self, PyTuple_GET_ITEM(taken, 0), PyTuple_GET_ITEM(taken, 1) == Py_True);
    Py_XDECREF(taken);
    return false;
}

static bool is_inside(const hn_operation *self)
{
    if (self->inside != PyThread_get_thread_ident())
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
    if (self->phase == HN_PHASE_NEW && hn_operation_start(self) < 0) {
        self->phase = HN_PHASE_DONE;
        return PYGEN_ERROR;
    }
    while (hn_operation_is_hungry(self) && !self->is_detached) {
        Py_CLEAR(self->future);
        if (feed(self, value, result))
            return PYGEN_NEXT;
        value = Py_None;
    }
    if (self->feeder.coroutine != NULL && self->phase != HN_PHASE_SETTLING) {
        enter(self);
        *result = hn_feeder_stop(&self->feeder, value);
        leave(self);
        if (*result != NULL)
            return PYGEN_NEXT;
    }
    switch (self->phase) {
    case HN_PHASE_OVER:
        return deliver(self, result);
    case HN_PHASE_SETTLING:
        return go_on_settling(self, value, result);
    case HN_PHASE_QUEUED:
    case HN_PHASE_GRANTED:
    case HN_PHASE_RUNNING:
        if (self->future == NULL && !self->is_detached)
            return wait_for_future(self, result);
        break;
    case HN_PHASE_NEW:
    case HN_PHASE_DONE:
    case HN_PHASE_COUNT:
    default:
        break;
    }
    PyErr_Format(PyExc_RuntimeError, "%s() is awaited already; call it again",
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
        PyErr_SetString(PyExc_TypeError, "throw() requires an exception");
    }
}

static PyObject *throw_in(PyObject *op, PyObject *args)
{
    hn_operation *self = (hn_operation *)op;
    PyObject *type, *value = NULL, *traceback = NULL;
    if (!PyArg_ParseTuple(args, "O|OO:throw", &type, &value, &traceback) || is_inside(self))
        return NULL;
    bool interrupted = self->feeder.interrupted;
    self->feeder.interrupted = false;
    self->feeder.stopped |= interrupted;
    if (self->feeder.coroutine != NULL) {
        enter(self);
        PyObject *supply = hn_feeder_throw(&self->feeder, args);
        leave(self);
        if (supply != NULL)
            return supply;
        if (self->phase == HN_PHASE_SETTLING) { /* StopIteration: swallowed, and all were called */
            self->phase = HN_PHASE_DONE;
            return NULL;
        }
        PyErr_Clear();
    }
    if (interrupted)
        return send(op, Py_None);
    hn_operation_on(self, HN_EVENT_LEFT);
    raise_given(type, value == Py_None ? NULL : value, traceback == Py_None ? NULL : traceback);
    return NULL;
}

static PyObject *close_it(PyObject *op, PyObject *unused)
{
    (void)unused;
    hn_operation *self = (hn_operation *)op;
    if (is_inside(self))
        return NULL;
    if (self->phase == HN_PHASE_SETTLING)
        self->phase = HN_PHASE_DONE;
    hn_feeder feeder = self->feeder; /* closed last: it may run any code */
    self->feeder = (hn_feeder){0};
    hn_operation_on(self, HN_EVENT_LEFT);
    int rc = hn_feeder_close(&feeder);
    hn_feeder_clear(&feeder);
    if (rc < 0)
        return NULL;
    Py_RETURN_NONE;
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
    static const char *const words[] = {"new",  "queued", "running", "running",
                                        "over", "over",   "done"};
    return PyUnicode_FromFormat("<%s() of request %R, %s>", self->request.method,
                                self->session->request_id, words[self->phase]);
}

static int traverse(PyObject *op, visitproc visit, void *arg)
{
    hn_operation *self = (hn_operation *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->session);
    Py_VISIT(self->returns);
    Py_VISIT(self->request.params);
    Py_VISIT(self->context);
    Py_VISIT(self->future);
    Py_VISIT(self->outcome.result);
    Py_VISIT(self->outcome.exception);
    Py_VISIT(self->outcome.hooks);
    Py_VISIT(self->rows);
    return hn_feeder_traverse(&self->feeder, visit, arg);
}

/* session and request stay: see there. */
static int clear(PyObject *op)
{
    hn_operation *self = (hn_operation *)op;
    Py_CLEAR(self->returns);
    Py_CLEAR(self->context);
    Py_CLEAR(self->future);
    Py_CLEAR(self->outcome.result);
    Py_CLEAR(self->outcome.exception);
    Py_CLEAR(self->outcome.hooks);
    Py_CLEAR(self->rows);
    hn_feeder_clear(&self->feeder);
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
    if (self->phase == HN_PHASE_NEW && ends_block(self)) {
        /* Something was raised between the end of the block and the await. */
        self->request.op = HN_OP_UNDO;
        if (hn_operation_start(self) < 0)
            PyErr_Clear(); /* no loop runs here: the end of the session rolls back */
    } else if (self->phase == HN_PHASE_NEW &&
               PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "%s() of request %R was never awaited",
                                self->request.method, self->session->request_id) < 0)
        PyErr_WriteUnraisable(op);
    bool is_under_way = self->phase == HN_PHASE_QUEUED || self->phase == HN_PHASE_GRANTED ||
                        self->phase == HN_PHASE_RUNNING;
    if (is_under_way || ends_block(self))
        hn_operation_on(self, HN_EVENT_LEFT); /* detached, it has a reference again */
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
    {Py_am_await, await_it},
    {Py_am_send, am_send},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, iternext},
    {Py_tp_methods, methods},
    {Py_tp_repr, repr},
    {Py_tp_traverse, traverse},
    {Py_tp_clear, clear},
    {Py_tp_finalize, finalize},
    {Py_tp_dealloc, dealloc},
    {Py_tp_getset, getters},
    {Py_tp_doc, type_doc},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "hypern._native.Operation",
    .basicsize = sizeof(hn_operation),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

int hn_operation_type_ready(PyObject *module)
{
    if (operation_type == NULL)
        operation_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return operation_type == NULL ? -1 : PyModule_AddType(module, operation_type);
}

/* The table of what an operation does, for tests: transition(phase, driven, event, must_happen,
 * cancellable). */
PyObject *hn_operation_transition(PyObject *module, PyObject *args)
{
    (void)module;
    const char *given[3];
    int must_happen, cancellable, found[3];
    const char *const *const words[] = {hn_phase_words, hn_driven_words, hn_event_words};
    const int counts[] = {HN_PHASE_COUNT, HN_BY_COUNT, HN_EVENT_COUNT};
    if (!PyArg_ParseTuple(args, "ssspp:_transition", &given[0], &given[1], &given[2], &must_happen,
                          &cancellable))
        return NULL;
    for (int i = 0; i < 3; i++) {
        found[i] = 0;
        while (found[i] < counts[i] && strcmp(words[i][found[i]], given[i]) != 0)
            found[i]++;
        if (found[i] == counts[i])
            return PyErr_Format(PyExc_ValueError, "_transition() has no '%s'", given[i]);
    }
    unsigned kind = (must_happen ? HN_MUST_HAPPEN : 0u) | (cancellable ? HN_CANCELLABLE : 0u);
    return PyUnicode_FromString(hn_action_words[hn_transition(
        (hn_phase)found[0], (hn_driven)found[1], (hn_event)found[2], kind)]);
}
