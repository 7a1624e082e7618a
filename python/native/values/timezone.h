/* Offsets from UTC and the session's time zone. */
#ifndef HN_TIMEZONE_H
#define HN_TIMEZONE_H

#include "values/types.h"

/* 1 and the offset in microseconds for an aware datetime or time; 0 for a naive one; -1. */
int hn_utc_offset(PyObject *value, int64_t *offset);
/* An aware datetime in the zone that TimeZone names. New reference or NULL. */
PyObject *hn_in_timezone(const hn_type *type, PyObject *value, PyObject *timezone);
/* The datetime.timezone of that many seconds east of UTC. A new reference, or NULL with an
 * exception. */
PyObject *hn_fixed_offset(int32_t seconds_east);

#endif
