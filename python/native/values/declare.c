/* The types that parameters are declared with: where the server takes a parameter for text because
 * nothing else determines its type, the statement means what it would as a literal. */
#include "values/types.h"

#include <datetime.h>
#include <string.h>

#include "error.h"
#include "values/python_types.h"

/* OIDs of the types of literals (PostgreSQL, pg_type.dat). */
enum {
    OID_BOOL = 16,
    OID_INT8 = 20,
    OID_INT4 = 23,
    OID_FLOAT8 = 701,
    OID_DATE = 1082,
    OID_TIME = 1083,
    OID_TIMESTAMP = 1114,
    OID_TIMESTAMPTZ = 1184,
    OID_INTERVAL = 1186,
    OID_TIMETZ = 1266,
    OID_NUMERIC = 1700,
    OID_UUID = 2950
};

int hn_declare_init(void)
{
    PyDateTime_IMPORT;
    return PyDateTimeAPI == NULL ? -1 : 0;
}

void hn_declared_clear(hn_declared *declared)
{
    declared->n = 0;
}

void hn_declared_free(hn_declared *declared)
{
    PyMem_Free(declared->oids);
    *declared = (hn_declared){0};
}

bool hn_declared_equal(const hn_declared *a, const hn_declared *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->oids, b->oids, a->n * sizeof *a->oids) == 0);
}

int hn_declared_reserve(hn_declared *declared, size_t n)
{
    if (n > declared->cap) {
        uint32_t *oids = PyMem_Realloc(declared->oids, n * sizeof *oids);
        if (oids == NULL)
            return PyErr_NoMemory(), -1;
        declared->oids = oids;
        declared->cap = n;
    }
    if (n > 0)
        memset(declared->oids, 0, n * sizeof *declared->oids);
    declared->n = n;
    return 0;
}

int hn_declared_read(hn_declared *declared, const uint8_t *oids, size_t len)
{
    if (hn_declared_reserve(declared, len / sizeof *declared->oids) < 0)
        return -1;
    if (declared->n > 0)
        memcpy(declared->oids, oids, declared->n * sizeof *declared->oids);
    return 0;
}

int hn_declared_copy(hn_declared *to, const hn_declared *from)
{
    return hn_declared_read(to, (const uint8_t *)from->oids, from->n * sizeof *from->oids);
}

/* By its size, an integer literal is an int4, an int8 or a numeric. */
static uint32_t type_of_int(PyObject *value)
{
    int is_beyond;
    long long n = PyLong_AsLongLongAndOverflow(value, &is_beyond);
    if (is_beyond)
        return OID_NUMERIC;
    return n >= INT32_MIN && n <= INT32_MAX ? OID_INT4 : OID_INT8;
}

/* Aware in Python's sense: the zone has an offset for this moment. */
static int type_of_datetime(PyObject *value, uint32_t *oid)
{
    PyObject *offset = PyObject_CallMethodNoArgs(value, hn_python.str_utcoffset);
    if (offset == NULL)
        return -1;
    *oid = offset == Py_None ? OID_TIMESTAMP : OID_TIMESTAMPTZ;
    Py_DECREF(offset);
    return 0;
}

static int own_type(PyObject *value, uint32_t *oid, int depth)
{
    enum { DEPTH_MAX = 8 }; /* of enums whose values are enums */
    *oid = 0;
    if (PyUnicode_Check(value) || depth > DEPTH_MAX)
        return 0;
    if (PyBool_Check(value))
        *oid = OID_BOOL;
    else if (PyLong_Check(value))
        *oid = type_of_int(value);
    else if (PyFloat_Check(value))
        *oid = OID_FLOAT8;
    else if (PyDateTime_Check(value))
        return type_of_datetime(value, oid);
    else if (PyDate_Check(value))
        *oid = OID_DATE;
    else if (PyTime_Check(value)) /* one whose zone has no fixed offset is for timetz to refuse */
        *oid = PyDateTime_TIME_GET_TZINFO(value) == Py_None ? OID_TIME : OID_TIMETZ;
    else if (PyDelta_Check(value))
        *oid = OID_INTERVAL;
    else if (PyObject_TypeCheck(value, (PyTypeObject *)hn_python.Decimal))
        *oid = OID_NUMERIC;
    else if (PyObject_TypeCheck(value, (PyTypeObject *)hn_python.UUID))
        *oid = OID_UUID;
    if (*oid != 0)
        return 0;
    PyObject *plainer =
        hn_plainer(value); /* an enum's value, which may be an enum's member itself */
    if (plainer == NULL)
        return PyErr_Occurred() ? -1 : 0;
    int rc = plainer == value ? 0 : own_type(plainer, oid, depth + 1);
    Py_DECREF(plainer);
    return rc;
}

int hn_own_type(PyObject *value, uint32_t *oid)
{
    return own_type(value, oid, 0);
}

bool hn_is_open_type(const hn_type *type)
{
    return type->dumps == NULL && type->family == HN_FAMILY_TEXT;
}
