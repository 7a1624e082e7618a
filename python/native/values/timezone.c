/* Offsets from UTC and the session's time zone. */
#include "values/timezone.h"

#include <datetime.h>

#include "error.h"
#include "values/calendar.h"
#include "values/python_types.h"

/* The last fixed offset and the last named zone: a result or a batch rarely has several. */
static struct {
    int32_t seconds_east;
    PyObject *offset;
    PyObject *name, *zone;
} last;

static int import_datetime(void)
{
    if (PyDateTimeAPI == NULL)
        PyDateTime_IMPORT;
    return PyDateTimeAPI == NULL ? -1 : 0;
}

int hn_utc_offset(PyObject *value, int64_t *offset)
{
    if (import_datetime() < 0)
        return -1;
    PyObject *tz = PyDateTime_Check(value) ? PyDateTime_DATE_GET_TZINFO(value)
                                           : PyDateTime_TIME_GET_TZINFO(value);
    *offset = 0;
    if (tz == Py_None)
        return 0;
    if (tz == PyDateTime_TimeZone_UTC)
        return 1;
    PyObject *delta = PyObject_CallMethodNoArgs(value, hn_python.str_utcoffset);
    if (delta == NULL)
        return -1;
    int aware = delta != Py_None;
    if (aware)
        *offset = PyDateTime_DELTA_GET_DAYS(delta) * HN_DAY +
                  PyDateTime_DELTA_GET_SECONDS(delta) * HN_SECOND +
                  PyDateTime_DELTA_GET_MICROSECONDS(delta);
    Py_DECREF(delta);
    return aware;
}

PyObject *hn_fixed_offset(int32_t seconds_east)
{
    if (import_datetime() < 0)
        return NULL;
    if (last.offset != NULL && last.seconds_east == seconds_east)
        return Py_NewRef(last.offset);
    PyObject *delta = PyDelta_FromDSU(0, seconds_east, 0);
    if (delta == NULL)
        return NULL;
    PyObject *offset = PyTimeZone_FromOffset(delta);
    Py_DECREF(delta);
    if (offset == NULL)
        return NULL;
    Py_XSETREF(last.offset, Py_NewRef(offset));
    last.seconds_east = seconds_east;
    return offset;
}

/* The server also accepts zones that no tz database names, such as <+03>-03. */
static PyObject *no_such_zone(const hn_type *type, PyObject *timezone)
{
    if (PyErr_ExceptionMatches(PyExc_MemoryError) || !PyErr_ExceptionMatches(PyExc_Exception))
        return NULL;
    PyErr_Clear();
    hn_raise("DataError",
             "an aware datetime cannot be sent as PostgreSQL type %U, because Python has no time "
             "zone %R, the session's TimeZone; send it without tzinfo",
             type->name, timezone);
    return NULL;
}

static PyObject *find_zone(const hn_type *type, PyObject *timezone)
{
    if (last.name != NULL && PyUnicode_Compare(last.name, timezone) == 0)
        return Py_NewRef(last.zone);
    if (hn_python.ZoneInfo == NULL) {
        PyObject *module = PyImport_ImportModule("zoneinfo");
        if (module == NULL)
            return NULL;
        hn_python.ZoneInfo = PyObject_GetAttrString(module, "ZoneInfo");
        Py_DECREF(module);
        if (hn_python.ZoneInfo == NULL)
            return NULL;
    }
    PyObject *zone = PyObject_CallOneArg(hn_python.ZoneInfo, timezone);
    if (zone == NULL)
        return no_such_zone(type, timezone);
    Py_XSETREF(last.name, Py_NewRef(timezone));
    Py_XSETREF(last.zone, Py_NewRef(zone));
    return zone;
}

PyObject *hn_in_timezone(const hn_type *type, PyObject *value, PyObject *timezone)
{
    if (import_datetime() < 0)
        return NULL;
    PyObject *zone;
    if (PyUnicode_CompareWithASCIIString(timezone, "UTC") == 0 ||
        PyUnicode_CompareWithASCIIString(timezone, "GMT") == 0 ||
        PyUnicode_CompareWithASCIIString(timezone, "Etc/UTC") == 0)
        zone = Py_NewRef(PyDateTime_TimeZone_UTC); /* known without a tz database */
    else
        zone = find_zone(type, timezone);
    if (zone == NULL)
        return NULL;
    PyObject *local = PyObject_CallMethod(value, "astimezone", "O", zone);
    Py_DECREF(zone);
    if (local == NULL && PyErr_ExceptionMatches(PyExc_OverflowError)) {
        PyErr_Clear();
        hn_unfit(type, value, "in the session's time zone it is outside Python's years 1 to 9999");
    }
    if (local != NULL && !PyDateTime_Check(local)) {
        Py_DECREF(local);
        PyErr_SetString(PyExc_TypeError, "astimezone() did not return a datetime");
        return NULL;
    }
    return local;
}
