/* Python's dates, times and intervals, made of what both wire formats tell. All answer a new
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

#endif
