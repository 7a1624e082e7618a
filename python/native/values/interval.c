/* interval: months, days and microseconds on the wire, timedelta in Python. */
#include "values/types.h"

#include <datetime.h>

#include "values/moment.h"

int hn_interval_init(void)
{
    PyDateTime_IMPORT;
    return PyDateTimeAPI == NULL ? -1 : 0;
}

/* timedelta's largest value is short of 1,000,000,000 days. */
enum { MAX_DAYS = 999999999 };

PyObject *hn_infinite_interval(const hn_type *type, int positive)
{
    if (!type->codec->infinity_minmax)
        return hn_beyond_python(type, positive ? "infinity" : "-infinity");
    return PyDelta_FromDSU(positive ? MAX_DAYS : -MAX_DAYS, positive ? 86399 : 0,
                           positive ? 999999 : 0);
}

/* A month counts as 30 days: timedelta has no months. */
PyObject *hn_make_interval(const hn_type *type, int32_t months, int32_t days, int64_t microseconds)
{
    if (microseconds == INT64_MAX && days == INT32_MAX && months == INT32_MAX)
        return hn_infinite_interval(type, 1);
    if (microseconds == INT64_MIN && days == INT32_MIN && months == INT32_MIN)
        return hn_infinite_interval(type, 0);
    int64_t whole = (int64_t)months * 30 + days + microseconds / HN_DAY;
    int64_t rest = microseconds % HN_DAY;
    if (rest < 0) {
        whole--;
        rest += HN_DAY;
    }
    if (whole < -MAX_DAYS || whole > MAX_DAYS)
        return hn_beyond_python(type, "%lld days", (long long)whole);
    return PyDateTimeAPI->Delta_FromDelta((int)whole, (int)(rest / HN_SECOND),
                                          (int)(rest % HN_SECOND), 0, PyDateTimeAPI->DeltaType);
}

PyObject *hn_read_interval(const hn_type *type, const uint8_t *data, size_t len)
{
    if (len != 16)
        return hn_unreadable(type, "wrong length");
    return hn_make_interval(type, (int32_t)hn_get_u32(data + 12), (int32_t)hn_get_u32(data + 8),
                            (int64_t)hn_get_u64(data));
}

static int put_interval(hn_buf *out, int64_t microseconds, int32_t days, int32_t months)
{
    if (hn_buf_u64(out, (uint64_t)microseconds) < 0 || hn_buf_u32(out, (uint32_t)days) < 0)
        return -1;
    return hn_buf_u32(out, (uint32_t)months);
}

/* Only the days of a timedelta may be negative: -12 hours are -1 day and 12 hours. To the server a
 * day is not 24 hours where clocks change, so days and time are sent with one sign, as in `-
 * interval '12 hours'`. */
int64_t hn_split_delta(PyObject *delta, int *days)
{
    int64_t microseconds =
        PyDateTime_DELTA_GET_SECONDS(delta) * HN_SECOND + PyDateTime_DELTA_GET_MICROSECONDS(delta);
    *days = PyDateTime_DELTA_GET_DAYS(delta);
    if (*days >= 0 || microseconds == 0)
        return microseconds;
    ++*days;
    return microseconds - HN_DAY;
}

int hn_write_interval(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder;
    if (PyUnicode_Check(value))
        return HN_AS_TEXT;
    if (!PyDelta_Check(value))
        return HN_NO_FIT;
    if (hn_check_fields(type, value) < 0)
        return -1;
    int days = PyDateTime_DELTA_GET_DAYS(value), seconds = PyDateTime_DELTA_GET_SECONDS(value);
    int micro = PyDateTime_DELTA_GET_MICROSECONDS(value);
    if (type->codec->infinity_minmax) {
        if (days == MAX_DAYS && seconds == 86399 && micro == 999999)
            return put_interval(out, INT64_MAX, INT32_MAX, INT32_MAX);
        if (days == -MAX_DAYS && seconds == 0 && micro == 0)
            return put_interval(out, INT64_MIN, INT32_MIN, INT32_MIN);
    }
    int64_t microseconds = hn_split_delta(value, &days);
    return put_interval(out, microseconds, days, 0);
}
