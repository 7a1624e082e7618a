/* The plans that a Pool has made, by SQL text. */
#include "session/plans.h"

#define PLANS_MAX 1024
#define SQL_MAX (64 * 1024) /* longer texts are likely made up for one use */

typedef struct entry {
    uint64_t id;
    hn_plan *plan;
} entry;

static void entry_free(PyObject *capsule)
{
    entry *e = PyCapsule_GetPointer(capsule, NULL);
    hn_plan_unref(e->plan);
    PyMem_Free(e);
}

int hn_plans_init(hn_plans *plans)
{
    plans->by_sql = PyDict_New();
    return plans->by_sql == NULL ? -1 : 0;
}

void hn_plans_clear(hn_plans *plans)
{
    if (plans->by_sql != NULL)
        PyDict_Clear(plans->by_sql);
}

void hn_plans_free(hn_plans *plans)
{
    Py_CLEAR(plans->by_sql);
}

hn_plan *hn_plans_find(const hn_plans *plans, PyObject *sql, uint64_t *id)
{
    PyObject *capsule = PyDict_GetItemWithError(plans->by_sql, sql);
    if (capsule == NULL)
        return NULL;
    const entry *e = PyCapsule_GetPointer(capsule, NULL);
    if (hn_plan_is_stale(e->plan))
        return NULL; /* its types are known otherwise by now: made anew, it takes this one's place */
    *id = e->id;
    return e->plan;
}

static int drop_oldest(hn_plans *plans)
{
    Py_ssize_t at = 0;
    PyObject *sql, *capsule;
    if (!PyDict_Next(plans->by_sql, &at, &sql, &capsule))
        return 0;
    Py_INCREF(sql);
    int rc = PyDict_DelItem(plans->by_sql, sql);
    Py_DECREF(sql);
    return rc;
}

int hn_plans_keep(hn_plans *plans, PyObject *sql, uint64_t id, hn_plan *plan)
{
    if (PyUnicode_GET_LENGTH(sql) > SQL_MAX)
        return 0;
    if (PyDict_GET_SIZE(plans->by_sql) >= PLANS_MAX && drop_oldest(plans) < 0)
        return -1;
    entry *e = PyMem_Malloc(sizeof *e);
    if (e == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    *e = (entry){.id = id, .plan = plan};
    PyObject *capsule = PyCapsule_New(e, NULL, entry_free);
    if (capsule == NULL) {
        PyMem_Free(e);
        return -1;
    }
    hn_plan_ref(plan);
    int rc = PyDict_SetItem(plans->by_sql, sql, capsule);
    Py_DECREF(capsule);
    return rc;
}
