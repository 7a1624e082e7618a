/* Subclasses of Python's dates and times whose attributes are not the fields that C sees:
 * pandas.NaT is a datetime of the year 1 to C, and none to Python. */
#include "values/types.h"

#include <datetime.h>

#include "values/calendar.h"
#include "values/moment.h"

int hn_fields_init(void)
{
    PyDateTime_IMPORT;
    return PyDateTimeAPI == NULL ? -1 : 0;
}

typedef struct {
    const char *name;
    int value;
} field;

/* The fields that C would send. Returns how many there are. */
static int fields_of(PyObject *value, field *fields)
{
    int n = 0;
    if (PyDelta_Check(value)) {
        fields[n++] = (field){"days", PyDateTime_DELTA_GET_DAYS(value)};
        fields[n++] = (field){"seconds", PyDateTime_DELTA_GET_SECONDS(value)};
        fields[n++] = (field){"microseconds", PyDateTime_DELTA_GET_MICROSECONDS(value)};
        return n;
    }
    if (PyDate_Check(value)) {
        fields[n++] = (field){"year", PyDateTime_GET_YEAR(value)};
        fields[n++] = (field){"month", PyDateTime_GET_MONTH(value)};
        fields[n++] = (field){"day", PyDateTime_GET_DAY(value)};
    }
    if (PyDateTime_Check(value)) {
        fields[n++] = (field){"hour", PyDateTime_DATE_GET_HOUR(value)};
        fields[n++] = (field){"minute", PyDateTime_DATE_GET_MINUTE(value)};
        fields[n++] = (field){"second", PyDateTime_DATE_GET_SECOND(value)};
        fields[n++] = (field){"microsecond", PyDateTime_DATE_GET_MICROSECOND(value)};
    } else if (PyTime_Check(value)) {
        fields[n++] = (field){"hour", PyDateTime_TIME_GET_HOUR(value)};
        fields[n++] = (field){"minute", PyDateTime_TIME_GET_MINUTE(value)};
        fields[n++] = (field){"second", PyDateTime_TIME_GET_SECOND(value)};
        fields[n++] = (field){"microsecond", PyDateTime_TIME_GET_MICROSECOND(value)};
    }
    return n;
}

/* Whether the attribute is the field. 1, 0 or -1. */
static int agrees(PyObject *value, const field *f)
{
    PyObject *attribute = PyObject_GetAttrString(value, f->name);
    PyObject *number = attribute == NULL ? NULL : PyLong_FromLong(f->value);
    int same = number == NULL ? -1 : PyObject_RichCompareBool(attribute, number, Py_EQ);
    Py_XDECREF(number);
    Py_XDECREF(attribute);
    return same;
}

int hn_check_fields(const hn_type *type, PyObject *value)
{
    if (PyDateTime_CheckExact(value) || PyDate_CheckExact(value) || PyTime_CheckExact(value) ||
        PyDelta_CheckExact(value))
        return 0;
    field fields[7];
    int n = fields_of(value, fields);
    for (int i = 0; i < n; i++) {
        int same = agrees(value, &fields[i]);
        if (same <= 0)
            return same < 0 ? -1
                            : hn_unfit(type, value,
                                       "its attributes do not fit Python's own class; "
                                       "send None for NULL");
    }
    return 0;
}
