/* Python values as the text that the server reads, for any type. */
#include "values/types.h"

#include <datetime.h>

#include "values/calendar.h"
#include "values/moment.h"
#include "values/python_types.h"

int hn_plain_text_init(void)
{
    PyDateTime_IMPORT;
    return PyDateTimeAPI == NULL ? -1 : 0;
}

/* Days and time of day apart, as interval keeps them, each with its sign: in IntervalStyle
 * sql_standard the server applies the first sign to parts that have none. */
static PyObject *interval_text(PyObject *delta)
{
    int days;
    int64_t microseconds = hn_split_delta(delta, &days);
    int64_t size = microseconds < 0 ? -microseconds : microseconds, seconds = size / HN_SECOND;
    char text[64];
    (void)snprintf(text, sizeof text, "%d days %c%02d:%02d:%02d.%06d", days,
                   microseconds < 0 ? '-' : '+', (int)(seconds / 3600), (int)(seconds / 60 % 60),
                   (int)(seconds % 60), (int)(size % HN_SECOND));
    return PyUnicode_FromString(text);
}

static int is_address(PyObject *value)
{
    PyObject *const classes[] = {hn_python.IPv4Address, hn_python.IPv6Address,
                                 hn_python.IPv4Network, hn_python.IPv6Network};
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        if (PyObject_TypeCheck(value, (PyTypeObject *)classes[i]))
            return 1; /* the interfaces derive from the addresses */
    return 0;
}

/* A new str; NULL without an exception if this Python type has no text. */
static PyObject *plain_text(const hn_type *type, PyObject *value)
{
    if (PyBool_Check(value))
        return PyUnicode_FromString(value == Py_True ? "true" : "false");
    if (PyFloat_Check(value) || PyLong_Check(value) || hn_is_decimal(value))
        return hn_number_digits(type, value);
    if (PyDelta_Check(value) || PyDate_Check(value) || PyTime_Check(value)) {
        if (hn_check_fields(type, value) < 0)
            return NULL;
        if (PyDelta_Check(value))
            return interval_text(value);
        if (PyDateTime_Check(value))
            return PyObject_CallMethod(value, "isoformat", "s", " ");
        return PyObject_CallMethod(value, "isoformat", NULL);
    }
    if (PyObject_TypeCheck(value, (PyTypeObject *)hn_python.UUID) || is_address(value))
        return PyObject_Str(value);
    return PyIndex_Check(value) ? hn_number_digits(type, value) : NULL;
}

int hn_write_plain_text(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder;
    PyObject *text = plain_text(type, value);
    if (text == NULL)
        return PyErr_Occurred() ? -1 : HN_NO_FIT;
    int rc = hn_write_str(type, text, out);
    Py_DECREF(text);
    return rc;
}

/* Types that take the text of most Python values. */
int hn_write_text_type(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    if (PyUnicode_Check(value))
        return hn_write_long_str(encoder, type, value, out);
    return hn_write_plain_text(encoder, type, value, out);
}
