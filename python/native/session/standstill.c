/* Blocking calls that would stop what they wait for. */
#include "session/standstill.h"

#include "awaited/loop.h"
#include "core/core.h"
#include "session/session.h"

bool hn_standstill_patched;

static PyObject *module(void)
{
    static PyObject *kept; /* for good */
    if (kept == NULL)
        kept = PyImport_ImportModule("hypern._standstill");
    return kept;
}

int hn_standstill_look(void)
{
    PyObject *name = module() == NULL ? NULL : PyObject_CallMethod(module(), "patched_by", NULL);
    int is_patched = name == NULL ? -1 : PyObject_IsTrue(name);
    Py_XDECREF(name);
    if (is_patched < 0)
        return -1;
    hn_standstill_patched = is_patched;
    return 0;
}

int hn_standstill_refuse_hub(void)
{
    PyObject *none = PyObject_CallMethod(module(), "refuse_hub", NULL);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

int hn_standstill_refuse_wait(hn_engine *e)
{
    int runs = hn_loop_runs_here();
    if (runs <= 0)
        return runs;
    PyObject *status = hn_pool_status(e->session->pool);
    PyObject *none = NULL;
    if (status == Py_None)
        none = Py_NewRef(Py_None); /* it was closed: the wait is over */
    else if (status != NULL && module() != NULL)
        none = PyObject_CallMethod(module(), "refuse_wait", "OO", (PyObject *)e->session, status);
    Py_XDECREF(status);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}
