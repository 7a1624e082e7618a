/* Operation: what a method of AsyncDbSession returns, with the protocol of a coroutine. What
 * follows from the outcome happens here, in the task that awaits it. */
#include "api/operation.h"

#include <string.h>

#include "api/coroutine.h"
#include "awaited/cooperative.h"
#include "awaited/loop.h"
#include "awaited/events.h"
#include "awaited/life.h"
#include "awaited/steps.h"
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

PyObject *hn_operation_fed(PyObject *operation, PyObject *rows)
{
    PyObject *module = hn_outcome_module(), *coroutine = NULL;
    if (module != NULL)
        coroutine = PyObject_CallMethod(module, "execute_many", "OO", operation, rows);
    Py_DECREF(operation);
    return coroutine;
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

/* The on_commit functions have been called; an exception is set if one has failed. */
static PyObject *be_settled(hn_operation *self)
{
    Py_CLEAR(self->settling);
    self->phase = HN_PHASE_DONE;
    return PyErr_Occurred() ? NULL : outcome(self);
}

/* Resumes the coroutine that calls the on_commit functions; their failure is the outcome. */
static PySendResult go_on_settling(hn_operation *self, PyObject *value, PyObject **result)
{
    PyObject *step = NULL;
    PySendResult sent = PyIter_Send(self->settling, value, &step);
    if (sent == PYGEN_NEXT) {
        *result = step;
        return PYGEN_NEXT;
    }
    Py_XDECREF(step);
    *result = be_settled(self);
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
    PyObject *hooks = self->outcome.hooks, *module = hn_outcome_module();
    self->outcome.hooks = NULL;
    if (module != NULL)
        self->settling = PyObject_CallMethod(module, "call_hooks", "O", hooks);
    Py_DECREF(hooks);
    self->phase = self->settling == NULL ? HN_PHASE_DONE : HN_PHASE_SETTLING;
    return self->settling == NULL ? PYGEN_ERROR : go_on_settling(self, Py_None, result);
}

/* The task is to collect rows: it gets None in place of the outcome. */
static PySendResult let_collect(hn_operation *self, PyObject **result)
{
    Py_CLEAR(self->future);
    self->feeder = hn_loop_task();
    *result = Py_NewRef(Py_None);
    return PYGEN_RETURN;
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
    Py_CLEAR(self->feeder);
    if (hn_operation_needs_rows(self) && !self->is_detached)
        return let_collect(self, result);
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
    if (self->settling != NULL) {
        PyObject *step = hn_coroutine_throw(self->settling, args);
        if (step == NULL) { /* StopIteration: swallowed, and all were called */
            Py_CLEAR(self->settling);
            self->phase = HN_PHASE_DONE;
        }
        return step;
    }
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
    if (self->settling == NULL) {
        hn_operation_on(self, HN_EVENT_LEFT);
        Py_RETURN_NONE;
    }
    PyObject *settling = self->settling;
    self->settling = NULL;
    self->phase = HN_PHASE_DONE;
    PyObject *closed = PyObject_CallMethod(settling, "close", NULL);
    Py_DECREF(settling);
    return closed;
}

/* For hypern._awaiting, which collects the rows of an async iterable: the next ones, and whether
 * there may be more. An operation whose time has passed needs none. */
static PyObject *feed(PyObject *op, PyObject *args)
{
    hn_operation *self = (hn_operation *)op;
    PyObject *rows;
    int more;
    if (!PyArg_ParseTuple(args, "Op:_feed", &rows, &more))
        return NULL;
    if (hn_operation_needs_rows(self))
        hn_operation_feed(self, rows, more != 0);
    Py_RETURN_NONE;
}

/* The same: the exception that was raised in place of rows. */
static PyObject *fail(PyObject *op, PyObject *exception)
{
    hn_operation *self = (hn_operation *)op;
    if (hn_operation_needs_rows(self)) {
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
        hn_operation_feed(self, NULL, false);
    }
    Py_RETURN_NONE;
}

static PyObject *get_has_cancelled(PyObject *op, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((hn_operation *)op)->has_cancelled);
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
    {"_has_cancelled", get_has_cancelled, NULL, NULL, NULL},
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
    Py_VISIT(self->request.columns);
    Py_VISIT(self->request.into);
    Py_VISIT(self->context);
    Py_VISIT(self->future);
    Py_VISIT(self->outcome.result);
    Py_VISIT(self->outcome.exception);
    Py_VISIT(self->outcome.hooks);
    Py_VISIT(self->feeder);
    Py_VISIT(self->settling);
    return 0;
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
    Py_CLEAR(self->outcome.notices);
    Py_CLEAR(self->outcome.report.where);
    Py_CLEAR(self->feeder);
    Py_CLEAR(self->settling);
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
    } else if (self->phase == HN_PHASE_NEW && !self->request.is_fed &&
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
    Py_CLEAR(self->request.columns);
    Py_CLEAR(self->request.into);
    Py_CLEAR(self->session);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"send", hn_coroutine_send, METH_O, NULL},
    {"throw", throw_in, METH_VARARGS, NULL},
    {"close", close_it, METH_NOARGS, NULL},
    {"_feed", feed, METH_VARARGS, NULL},
    {"_fail", fail, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static char type_doc[] = "What a method of AsyncDbSession returns; it begins when it is awaited.";

static PyType_Slot slots[] = {
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, am_send},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, hn_coroutine_next},
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
