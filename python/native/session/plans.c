/* The plans that a Pool has made, by SQL text. */
#include "session/plans.h"

#define PLANS_MAX 1024
#define PLANS_BYTES (4u << 20)
#define PLAN_BYTES (64u << 10) /* longer texts are likely made up for one use */

typedef struct entry {
    uint64_t id;
    hn_plan *plan;
    size_t bytes;
} entry;

/* What an entry takes, nearly: the text, its UTF-8 unless that is the text itself, and the plan. */
static size_t entry_bytes(PyObject *sql, const hn_plan *plan)
{
    enum { ENTRY = 512, COLUMN = 192, PARAMETER = 16 };
    size_t text = (size_t)PyUnicode_GET_LENGTH(sql) * PyUnicode_KIND(sql);
    if (!PyUnicode_IS_COMPACT_ASCII(sql))
        text += text;
    return text + ENTRY + COLUMN * (size_t)hn_plan_ncolumns(plan) +
           PARAMETER * (size_t)hn_plan_nparams(plan);
}

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
    plans->bytes = 0;
    if (plans->by_sql != NULL)
        PyDict_Clear(plans->by_sql);
}

void hn_plans_free(hn_plans *plans)
{
    Py_CLEAR(plans->by_sql);
}

/* What an entry is found by: the text, and the declared types if there are any. New reference. */
static PyObject *key_of(PyObject *sql, const hn_declared *declared)
{
    if (declared->n == 0)
        return Py_NewRef(sql);
    return Py_BuildValue("Oy#", sql, (const char *)declared->oids,
                         (Py_ssize_t)(declared->n * sizeof *declared->oids));
}

hn_plan *hn_plans_find(const hn_plans *plans, PyObject *sql, const hn_declared *declared,
                       uint64_t *id)
{
    PyObject *key = key_of(sql, declared);
    if (key == NULL)
        return NULL;
    PyObject *capsule = PyDict_GetItemWithError(plans->by_sql, key);
    Py_DECREF(key);
    if (capsule == NULL)
        return NULL;
    const entry *e = PyCapsule_GetPointer(capsule, NULL);
    if (hn_plan_is_stale(e->plan))
        return NULL; /* its types are known otherwise by now: made anew, it takes this one's place */
    *id = e->id;
    return e->plan;
}

static int drop(hn_plans *plans, PyObject *key, PyObject *capsule)
{
    const entry *e = PyCapsule_GetPointer(capsule, NULL);
    plans->bytes -= e->bytes;
    Py_INCREF(key);
    int rc = PyDict_DelItem(plans->by_sql, key);
    Py_DECREF(key);
    return rc;
}

/* Once the codec has forgotten its types, all plans with them are stale, and keep them. */
static void drop_stale(hn_plans *plans)
{
    Py_ssize_t at = 0;
    PyObject *sql, *capsule;
    if (!PyDict_Next(plans->by_sql, &at, &sql, &capsule))
        return;
    const entry *oldest = PyCapsule_GetPointer(capsule, NULL);
    if (hn_plan_is_stale(oldest->plan))
        hn_plans_clear(plans);
}

/* The entry of the same key goes, and the oldest ones until there is room for this many bytes. */
static int make_room(hn_plans *plans, PyObject *key, size_t bytes)
{
    PyObject *oldest, *capsule = PyDict_GetItemWithError(plans->by_sql, key);
    if (capsule == NULL ? PyErr_Occurred() != NULL : drop(plans, key, capsule) < 0)
        return -1;
    for (;;) {
        Py_ssize_t at = 0;
        if (PyDict_GET_SIZE(plans->by_sql) < PLANS_MAX && plans->bytes + bytes <= PLANS_BYTES)
            return 0;
        if (!PyDict_Next(plans->by_sql, &at, &oldest, &capsule))
            return 0;
        if (drop(plans, oldest, capsule) < 0)
            return -1;
    }
}

static int keep(hn_plans *plans, PyObject *key, size_t bytes, uint64_t id, hn_plan *plan)
{
    drop_stale(plans);
    if (make_room(plans, key, bytes) < 0)
        return -1;
    entry *e = PyMem_Malloc(sizeof *e);
    if (e == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    *e = (entry){.id = id, .plan = plan, .bytes = bytes};
    PyObject *capsule = PyCapsule_New(e, NULL, entry_free);
    if (capsule == NULL) {
        PyMem_Free(e);
        return -1;
    }
    hn_plan_ref(plan);
    int rc = PyDict_SetItem(plans->by_sql, key, capsule);
    Py_DECREF(capsule);
    if (rc == 0)
        plans->bytes += bytes;
    return rc;
}

int hn_plans_keep(hn_plans *plans, PyObject *sql, uint64_t id, hn_plan *plan)
{
    if ((size_t)PyUnicode_GET_LENGTH(sql) * PyUnicode_KIND(sql) > PLAN_BYTES)
        return 0;
    PyObject *key = key_of(sql, hn_plan_declared(plan));
    if (key == NULL)
        return -1;
    int rc = keep(plans, key, entry_bytes(sql, plan), id, plan);
    Py_DECREF(key);
    return rc;
}
