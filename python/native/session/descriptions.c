/* The descriptions that a Pool has made, by SQL text. */
#include "session/descriptions.h"

#define DESCRIPTIONS_MAX 1024
#define DESCRIPTIONS_BYTES (4u << 20)
#define SQL_BYTES (64u << 10) /* longer texts are likely made up for one use */

typedef struct entry {
    uint64_t id;
    hn_description *description;
    size_t bytes;
} entry;

/* What an entry takes, nearly: the text, its UTF-8 unless that is the text itself, and the
 * description. */
static size_t entry_bytes(PyObject *sql, const hn_description *description)
{
    enum { ENTRY = 512, COLUMN = 192, PARAMETER = 16 };
    size_t text = (size_t)PyUnicode_GET_LENGTH(sql) * PyUnicode_KIND(sql);
    if (!PyUnicode_IS_COMPACT_ASCII(sql))
        text += text;
    return text + ENTRY + COLUMN * (size_t)hn_description_ncolumns(description) +
           PARAMETER * (size_t)hn_description_nparams(description);
}

static void entry_free(PyObject *capsule)
{
    entry *e = PyCapsule_GetPointer(capsule, NULL);
    hn_description_unref(e->description);
    PyMem_Free(e);
}

int hn_descriptions_init(hn_descriptions *descriptions)
{
    descriptions->by_sql = PyDict_New();
    return descriptions->by_sql == NULL ? -1 : 0;
}

void hn_descriptions_clear(hn_descriptions *descriptions)
{
    descriptions->bytes = 0;
    if (descriptions->by_sql != NULL)
        PyDict_Clear(descriptions->by_sql);
}

void hn_descriptions_free(hn_descriptions *descriptions)
{
    Py_CLEAR(descriptions->by_sql);
}

/* What an entry is found by: the text, and the declared types if there are any. New reference. */
static PyObject *key_of(PyObject *sql, const hn_declared *declared)
{
    if (declared->n == 0)
        return Py_NewRef(sql);
    return Py_BuildValue("Oy#", sql, (const char *)declared->oids,
                         (Py_ssize_t)(declared->n * sizeof *declared->oids));
}

hn_description *hn_descriptions_find(const hn_descriptions *descriptions, PyObject *sql,
                                     const hn_declared *declared, uint64_t *id)
{
    PyObject *key = key_of(sql, declared);
    if (key == NULL)
        return NULL;
    PyObject *capsule = PyDict_GetItemWithError(descriptions->by_sql, key);
    Py_DECREF(key);
    if (capsule == NULL)
        return NULL;
    const entry *e = PyCapsule_GetPointer(capsule, NULL);
    if (hn_description_is_stale(e->description))
        return NULL; /* its types have changed: a new one takes its place */
    *id = e->id;
    return e->description;
}

static int drop(hn_descriptions *descriptions, PyObject *key, PyObject *capsule)
{
    const entry *e = PyCapsule_GetPointer(capsule, NULL);
    descriptions->bytes -= e->bytes;
    Py_INCREF(key);
    int rc = PyDict_DelItem(descriptions->by_sql, key);
    Py_DECREF(key);
    return rc;
}

/* Once the codec has forgotten its types, all descriptions with them are stale, and keep them. */
static void drop_stale(hn_descriptions *descriptions)
{
    Py_ssize_t at = 0;
    PyObject *sql, *capsule;
    if (!PyDict_Next(descriptions->by_sql, &at, &sql, &capsule))
        return;
    const entry *oldest = PyCapsule_GetPointer(capsule, NULL);
    if (hn_description_is_stale(oldest->description))
        hn_descriptions_clear(descriptions);
}

/* The entry of the same key goes, and the oldest ones until there is room for this many bytes. */
static int make_room(hn_descriptions *descriptions, PyObject *key, size_t bytes)
{
    PyObject *oldest, *capsule = PyDict_GetItemWithError(descriptions->by_sql, key);
    if (capsule == NULL ? PyErr_Occurred() != NULL : drop(descriptions, key, capsule) < 0)
        return -1;
    for (;;) {
        Py_ssize_t at = 0;
        if (PyDict_GET_SIZE(descriptions->by_sql) < DESCRIPTIONS_MAX &&
            descriptions->bytes + bytes <= DESCRIPTIONS_BYTES)
            return 0;
        if (!PyDict_Next(descriptions->by_sql, &at, &oldest, &capsule))
            return 0;
        if (drop(descriptions, oldest, capsule) < 0)
            return -1;
    }
}

static int keep(hn_descriptions *descriptions, PyObject *key, size_t bytes, uint64_t id,
                hn_description *description)
{
    drop_stale(descriptions);
    if (make_room(descriptions, key, bytes) < 0)
        return -1;
    entry *e = PyMem_Malloc(sizeof *e);
    if (e == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    *e = (entry){.id = id, .description = description, .bytes = bytes};
    PyObject *capsule = PyCapsule_New(e, NULL, entry_free);
    if (capsule == NULL) {
        PyMem_Free(e);
        return -1;
    }
    hn_description_ref(description);
    int rc = PyDict_SetItem(descriptions->by_sql, key, capsule);
    Py_DECREF(capsule);
    if (rc == 0)
        descriptions->bytes += bytes;
    return rc;
}

int hn_descriptions_keep(hn_descriptions *descriptions, PyObject *sql, uint64_t id,
                         hn_description *description)
{
    if ((size_t)PyUnicode_GET_LENGTH(sql) * PyUnicode_KIND(sql) > SQL_BYTES)
        return 0;
    PyObject *key = key_of(sql, hn_description_declared(description));
    if (key == NULL)
        return -1;
    int rc = keep(descriptions, key, entry_bytes(sql, description), id, description);
    Py_DECREF(key);
    return rc;
}
