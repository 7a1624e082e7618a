/* Blocking calls that would stop what they wait for. */
#include "api/standstill.h"

#include "awaited/loop.h"
#include "drive/driver.h"

static PyObject *module(void)
{
    static PyObject *kept; /* for good */
    if (kept == NULL)
        kept = PyImport_ImportModule("hypern._standstill");
    return kept;
}

/* A blocking call begins in a patched process. */
static int refuse_hub(void)
{
    PyObject *none = PyObject_CallMethod(module(), "refuse_hub", NULL);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* A thread is about to sleep in the pool's queue. If it runs an event loop whose own requests hold
 * all connections, that would never end. */
static int refuse_wait(const hn_target *target)
{
    int runs = hn_loop_runs_here();
    if (runs <= 0)
        return runs;
    PyObject *status = hn_database_status(target->database);
    PyObject *none = NULL;
    if (status == Py_None)
        none = Py_NewRef(Py_None); /* it was closed: the wait is over */
    else if (status != NULL && module() != NULL)
        none = PyObject_CallMethod(module(), "refuse_wait", "OO", target->owner, status);
    Py_XDECREF(status);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

int hn_standstill_look(void)
{
    PyObject *name = module() == NULL ? NULL : PyObject_CallMethod(module(), "patched_by", NULL);
    int is_patched = name == NULL ? -1 : PyObject_IsTrue(name);
    Py_XDECREF(name);
    if (is_patched < 0)
        return -1;
    hn_checks.may_block = is_patched ? refuse_hub : NULL;
    hn_checks.may_queue = refuse_wait;
    return 0;
}
