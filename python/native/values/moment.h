/* Python's dates, times and intervals, made from either wire format. All return a new
 * reference, or NULL with DataError for what Python cannot hold. */
#ifndef HN_MOMENT_H
#define HN_MOMENT_H

#include "values/calendar.h"
#include "values/types.h"

PyObject *hn_make_date(const hn_type *type, hn_civil civil);
/* tz: None, or UTC; microseconds since 2000-01-01 in it. */
PyObject *hn_make_timestamp(const hn_type *type, int64_t microseconds, PyObject *tz);
PyObject *hn_make_time(const hn_type *type, int64_t microseconds, PyObject *tz);
PyObject *hn_make_interval(const hn_type *type, int32_t months, int32_t days, int64_t microseconds);
/* What infinity="minmax" in Database.configure makes of the infinities. */
PyObject *hn_infinite_date(const hn_type *type, int positive);
PyObject *hn_infinite_timestamp(const hn_type *type, int positive, PyObject *tz);
PyObject *hn_infinite_interval(const hn_type *type, int positive);

/* A timedelta's days and, as the result, microseconds, both of one sign. */
int64_t hn_split_delta(PyObject *delta, int *days);
/* Whether C sees the date, time, datetime or timedelta that Python sees. 0, or -1 with
 * DataError. */
int hn_check_fields(const hn_type *type, PyObject *value);

#endif
