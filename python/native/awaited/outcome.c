/* The outcome of an awaited operation, and what follows from it. */
#include "awaited/outcome.h"

#include "drive/settle.h"

/* Whether the interpreter is being taken down, and modules with it. */
static bool is_finalizing(void)
{
#if PY_VERSION_HEX >= 0x030d0000
    return Py_IsFinalizing() != 0;
#else
    return _Py_IsFinalizing() != 0;
#endif
}

PyObject *hn_outcome_module(void)
{
    static PyObject *module; /* never dropped */
    if (module == NULL)
        module = PyImport_ImportModule("hypern._awaiting");
    return module;
}

void hn_outcome_observe(hn_outcome *self, hn_view *session, const hn_request *request)
{
    PyObject *notices = self->notices;
    self->notices = NULL;
    hn_settle_deliver(session, request, notices);
    if (self->began != 0)
        hn_settle_observe(session, request, &self->report, self->result, self->exception);
}

void hn_outcome_settle(hn_outcome *self, hn_view *session, const hn_request *request)
{
    if (is_finalizing()) /* of a loop that was never closed: nothing is left to report to */
        return;
    hn_outcome_observe(self, session, request);
    PyObject *module = hn_outcome_module();
    PyObject *none = NULL;
    if (module != NULL)
        none = PyObject_CallMethod(module, "settle_detached", "OsOO", (PyObject *)session,
                                   request->method,
                                   self->exception != NULL ? self->exception : Py_None,
                                   self->hooks != NULL ? self->hooks : Py_None);
    if (none == NULL)
        PyErr_WriteUnraisable((PyObject *)session);
    Py_XDECREF(none);
}
