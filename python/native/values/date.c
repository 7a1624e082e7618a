/* date, timestamp and timestamptz. */
#include "values/types.h"

#include <datetime.h>

#include "values/moment.h"
#include "values/timezone.h"

int hn_date_init(void)
{
    PyDateTime_IMPORT;
    return PyDateTimeAPI == NULL ? -1 : 0;
}

PyObject *hn_infinite_date(const hn_type *type, int positive)
{
    if (!type->codec->infinity_minmax)
        return hn_beyond_python(type, positive ? "infinity" : "-infinity");
    return positive ? PyDate_FromDate(9999, 12, 31) : PyDate_FromDate(1, 1, 1);
}

PyObject *hn_infinite_timestamp(const hn_type *type, int positive, PyObject *tz)
{
    if (!type->codec->infinity_minmax)
        return hn_beyond_python(type, positive ? "infinity" : "-infinity");
    return positive ? PyDateTimeAPI->DateTime_FromDateAndTime(9999, 12, 31, 23, 59, 59, 999999, tz,
                                                              PyDateTimeAPI->DateTimeType)
                    : PyDateTimeAPI->DateTime_FromDateAndTime(1, 1, 1, 0, 0, 0, 0, tz,
                                                              PyDateTimeAPI->DateTimeType);
}

static PyObject *beyond_years(const hn_type *type, hn_civil c)
{
    if (c.year > 0)
        return hn_beyond_python(type, "%04lld-%02d-%02d", (long long)c.year, c.month, c.day);
    return hn_beyond_python(type, "%04lld-%02d-%02d BC", 1 - (long long)c.year, c.month, c.day);
}

PyObject *hn_make_date(const hn_type *type, hn_civil c)
{
    if (c.year < 1 || c.year > 9999)
        return beyond_years(type, c);
    return PyDateTimeAPI->Date_FromDate((int)c.year, c.month, c.day, PyDateTimeAPI->DateType);
}

PyObject *hn_read_date(const hn_type *type, const uint8_t *data, size_t len)
{
    if (len != 4)
        return hn_unreadable(type, "wrong length");
    int32_t days = (int32_t)hn_get_u32(data);
    if (days == INT32_MAX || days == INT32_MIN)
        return hn_infinite_date(type, days > 0);
    return hn_make_date(type, hn_civil_of(days));
}

PyObject *hn_make_timestamp(const hn_type *type, int64_t microseconds, PyObject *tz)
{
    int64_t days = microseconds / HN_DAY, rest = microseconds % HN_DAY;
    if (rest < 0) {
        days--;
        rest += HN_DAY;
    }
    hn_civil c = hn_civil_of(days);
    if (c.year < 1 || c.year > 9999)
        return beyond_years(type, c);
    uint32_t seconds = (uint32_t)(rest / HN_SECOND), micro = (uint32_t)(rest % HN_SECOND);
    return PyDateTimeAPI->DateTime_FromDateAndTime(
        (int)c.year, c.month, c.day, (int)(seconds / 3600), (int)(seconds / 60 % 60),
        (int)(seconds % 60), (int)micro, tz, PyDateTimeAPI->DateTimeType);
}

static inline PyObject *read_timestamp(const hn_type *type, const uint8_t *data, size_t len,
                                       PyObject *tz)
{
    if (len != 8)
        return hn_unreadable(type, "wrong length");
    int64_t microseconds = (int64_t)hn_get_u64(data);
    if (microseconds == INT64_MAX || microseconds == INT64_MIN)
        return hn_infinite_timestamp(type, microseconds > 0, tz);
    return hn_make_timestamp(type, microseconds, tz);
}

PyObject *hn_read_timestamp(const hn_type *type, const uint8_t *data, size_t len)
{
    return read_timestamp(type, data, len, Py_None);
}

PyObject *hn_read_timestamptz(const hn_type *type, const uint8_t *data, size_t len)
{
    return read_timestamp(type, data, len, PyDateTime_TimeZone_UTC);
}

static int64_t days_of_date(PyObject *date)
{
    return hn_days_of(PyDateTime_GET_YEAR(date), PyDateTime_GET_MONTH(date),
                      PyDateTime_GET_DAY(date));
}

static int64_t microseconds_of_day(PyObject *moment)
{
    int64_t seconds = PyDateTime_DATE_GET_HOUR(moment) * 3600 +
                      PyDateTime_DATE_GET_MINUTE(moment) * 60 + PyDateTime_DATE_GET_SECOND(moment);
    return seconds * HN_SECOND + PyDateTime_DATE_GET_MICROSECOND(moment);
}

static int64_t microseconds_of(PyObject *moment)
{
    return days_of_date(moment) * HN_DAY + microseconds_of_day(moment);
}

/* 1 and -1 for what infinity="minmax" sends as the infinities, else 0. */
static int infinite(const hn_type *type, PyObject *date)
{
    if (!type->codec->infinity_minmax)
        return 0;
    int64_t days = days_of_date(date);
    int with_time = PyDateTime_Check(date);
    if (days == hn_days_of(9999, 12, 31) && (!with_time || microseconds_of_day(date) == HN_DAY - 1))
        return 1;
    if (days == hn_days_of(1, 1, 1) && (!with_time || microseconds_of_day(date) == 0))
        return -1;
    return 0;
}

int hn_write_date(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder;
    if (PyUnicode_Check(value))
        return HN_AS_TEXT;
    if (!PyDate_Check(value))
        return HN_NO_FIT;
    if (hn_check_fields(type, value) < 0)
        return -1;
    if (PyDateTime_Check(value) && microseconds_of_day(value) != 0 && !infinite(type, value))
        return hn_unfit(type, value, "it is not at midnight");
    int sign = infinite(type, value);
    if (sign != 0)
        return hn_buf_u32(out, (uint32_t)(sign > 0 ? INT32_MAX : INT32_MIN));
    return hn_buf_u32(out, (uint32_t)days_of_date(value));
}

static int write_microseconds(const hn_type *type, PyObject *value, int64_t microseconds,
                              hn_buf *out)
{
    int sign = infinite(type, value);
    if (sign != 0)
        return hn_buf_u64(out, (uint64_t)(sign > 0 ? INT64_MAX : INT64_MIN));
    return hn_buf_u64(out, (uint64_t)microseconds);
}

int hn_write_timestamp(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    if (PyUnicode_Check(value))
        return HN_AS_TEXT;
    if (!PyDate_Check(value))
        return HN_NO_FIT;
    if (hn_check_fields(type, value) < 0)
        return -1;
    if (!PyDateTime_Check(value))
        return write_microseconds(type, value, days_of_date(value) * HN_DAY, out);
    int64_t offset;
    int aware = hn_utc_offset(value, &offset);
    if (aware < 0)
        return -1;
    if (!aware || infinite(type, value))
        return write_microseconds(type, value, microseconds_of(value), out);
    if (encoder->timezone == NULL)
        return HN_NEED_TZ;
    PyObject *local = hn_in_timezone(type, value, encoder->timezone);
    if (local == NULL)
        return -1;
    int rc = hn_buf_u64(out, (uint64_t)microseconds_of(local));
    Py_DECREF(local);
    return rc;
}

int hn_write_timestamptz(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder;
    if (PyUnicode_Check(value))
        return HN_AS_TEXT;
    if (!PyDate_Check(value))
        return HN_NO_FIT;
    if (hn_check_fields(type, value) < 0)
        return -1;
    int sign = infinite(type, value);
    if (sign != 0)
        return hn_buf_u64(out, (uint64_t)(sign > 0 ? INT64_MAX : INT64_MIN));
    if (!PyDateTime_Check(value))
        return HN_AS_TEXT;
    int64_t offset;
    int aware = hn_utc_offset(value, &offset);
    if (aware < 0)
        return -1;
    if (!aware)
        return HN_AS_TEXT; /* the server has the session's time zone */
    return hn_buf_u64(out, (uint64_t)(microseconds_of(value) - offset));
}

static int write_iso(const char *method, PyObject *value, hn_buf *out, const hn_type *type)
{
    PyObject *text = PyObject_CallMethod(value, method, NULL);
    if (text == NULL)
        return -1;
    int rc = hn_write_str(type, text, out);
    Py_DECREF(text);
    return rc;
}

static int write_infinity(int sign, hn_buf *out)
{
    return sign > 0 ? hn_buf_bytes(out, "infinity", 8) : hn_buf_bytes(out, "-infinity", 9);
}

int hn_write_date_text(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder;
    int sign = infinite(type, value);
    if (sign != 0)
        return write_infinity(sign, out);
    if (!PyDateTime_Check(value))
        return write_iso("isoformat", value, out, type);
    PyObject *date = PyDate_FromDate(PyDateTime_GET_YEAR(value), PyDateTime_GET_MONTH(value),
                                     PyDateTime_GET_DAY(value));
    if (date == NULL)
        return -1;
    int rc = write_iso("isoformat", date, out, type);
    Py_DECREF(date);
    return rc;
}

int hn_write_timestamp_text(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    int sign = infinite(type, value);
    if (sign != 0)
        return write_infinity(sign, out);
    int64_t offset = 0;
    int aware = PyDateTime_Check(value) ? hn_utc_offset(value, &offset) : 0;
    if (aware <= 0)
        return aware < 0 ? -1 : write_iso("isoformat", value, out, type);
    if (encoder->timezone == NULL)
        return HN_NEED_TZ;
    PyObject *local = hn_in_timezone(type, value, encoder->timezone);
    if (local == NULL)
        return -1;
    PyObject *naive = PyDateTimeAPI->DateTime_FromDateAndTime(
        PyDateTime_GET_YEAR(local), PyDateTime_GET_MONTH(local), PyDateTime_GET_DAY(local),
        PyDateTime_DATE_GET_HOUR(local), PyDateTime_DATE_GET_MINUTE(local),
        PyDateTime_DATE_GET_SECOND(local), PyDateTime_DATE_GET_MICROSECOND(local), Py_None,
        PyDateTimeAPI->DateTimeType);
    Py_DECREF(local);
    int rc = naive == NULL ? -1 : write_iso("isoformat", naive, out, type);
    Py_XDECREF(naive);
    return rc;
}

int hn_write_timestamptz_text(hn_encoder *encoder, const hn_type *type, PyObject *value,
                              hn_buf *out)
{
    (void)encoder;
    int sign = infinite(type, value);
    return sign != 0 ? write_infinity(sign, out) : write_iso("isoformat", value, out, type);
}
