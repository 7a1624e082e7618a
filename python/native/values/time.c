/* time and timetz. */
#include "values/types.h"

#include <datetime.h>

#include "values/moment.h"
#include "values/timezone.h"

int hn_time_init(void)
{
    PyDateTime_IMPORT;
    return PyDateTimeAPI == NULL ? -1 : 0;
}

PyObject *hn_make_time(const hn_type *type, int64_t microseconds, PyObject *tz)
{
    if (microseconds == HN_DAY)
        return hn_beyond_python(type, "24:00:00");
    if (microseconds < 0 || microseconds > HN_DAY)
        return hn_unreadable(type, "more than 24 hours");
    int64_t seconds = microseconds / HN_SECOND;
    return PyDateTimeAPI->Time_FromTime((int)(seconds / 3600), (int)(seconds / 60 % 60),
                                        (int)(seconds % 60), (int)(microseconds % HN_SECOND), tz,
                                        PyDateTimeAPI->TimeType);
}

PyObject *hn_read_time(const hn_type *type, const uint8_t *data, size_t len)
{
    if (len != 8)
        return hn_unreadable(type, "wrong length");
    return hn_make_time(type, (int64_t)hn_get_u64(data), Py_None);
}

PyObject *hn_read_timetz(const hn_type *type, const uint8_t *data, size_t len)
{
    if (len != 12)
        return hn_unreadable(type, "wrong length");
    int32_t west = (int32_t)hn_get_u32(data + 8);
    if (west <= -86400 || west >= 86400)
        return hn_unreadable(type, "the UTC offset is more than a day");
    PyObject *tz = hn_fixed_offset(-west);
    if (tz == NULL)
        return NULL;
    PyObject *value = hn_make_time(type, (int64_t)hn_get_u64(data), tz);
    Py_DECREF(tz);
    return value;
}

static int64_t microseconds_of(PyObject *time)
{
    int64_t seconds = PyDateTime_TIME_GET_HOUR(time) * 3600 +
                      PyDateTime_TIME_GET_MINUTE(time) * 60 + PyDateTime_TIME_GET_SECOND(time);
    return seconds * HN_SECOND + PyDateTime_TIME_GET_MICROSECOND(time);
}

/* Whether a time is aware, and its offset. A zone whose offset depends on the date has none for a
 * time. Python counts that as naive, but it is not meant in the session's time zone. 1, 0 or -1. */
static int offset_of(const hn_type *type, PyObject *value, int64_t *offset)
{
    if (hn_check_fields(type, value) < 0)
        return -1;
    int aware = hn_utc_offset(value, offset);
    if (aware == 0 && PyDateTime_TIME_GET_TZINFO(value) != Py_None)
        return hn_unfit(type, value,
                        "its time zone has no offset without a date; give it a fixed one, as "
                        "datetime.timezone has");
    return aware;
}

int hn_write_time(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder;
    if (PyUnicode_Check(value))
        return HN_AS_TEXT;
    if (!PyTime_Check(value))
        return HN_NO_FIT;
    int64_t offset;
    int aware = offset_of(type, value, &offset);
    if (aware < 0)
        return -1;
    if (aware)
        return hn_unfit(type, value, "its UTC offset would be lost");
    return hn_buf_u64(out, (uint64_t)microseconds_of(value));
}

int hn_write_timetz(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder;
    if (PyUnicode_Check(value))
        return HN_AS_TEXT;
    if (!PyTime_Check(value))
        return HN_NO_FIT;
    int64_t offset;
    int aware = offset_of(type, value, &offset);
    if (aware < 0)
        return -1;
    if (!aware)
        return HN_AS_TEXT; /* the server has the session's time zone */
    if (offset % HN_SECOND != 0)
        return hn_unfit(type, value, "its offset has a fraction of a second");
    if (hn_buf_u64(out, (uint64_t)microseconds_of(value)) < 0)
        return -1;
    return hn_buf_u32(out, (uint32_t)(int32_t)(-offset / HN_SECOND));
}
