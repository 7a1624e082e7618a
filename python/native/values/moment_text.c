/* Dates and times from the server's text, as DateStyle ISO prints them. They arrive as text only
 * inside a value that has no binary format; the core then sets that style. */
#include "values/types.h"

#include "values/calendar.h"
#include "values/literal.h"
#include "values/moment.h"
#include "values/timezone.h"

static PyObject *not_iso(const hn_type *type)
{
    return hn_unreadable(type, "not in DateStyle ISO");
}

/* Up to `max` digits. 0, or -1 if there is none. */
static int take_number(hn_cursor *c, int max, int64_t *number)
{
    int n = 0;
    for (*number = 0; n < max && hn_peek(c) >= '0' && hn_peek(c) <= '9'; n++)
        *number = *number * 10 + (*c->at++ - '0');
    return n > 0 ? 0 : -1;
}

static int take_word(hn_cursor *c, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0)
        return 0;
    c->at += n;
    return 1;
}

/* infinity and -infinity as 1 and -1. */
static int take_infinity(hn_cursor *c)
{
    if (take_word(c, "-infinity"))
        return -1;
    return take_word(c, "infinity");
}

/* 2026-11-23; the era follows at the end. */
static int take_date(hn_cursor *c, hn_civil *civil)
{
    int64_t month, day;
    if (take_number(c, 9, &civil->year) < 0 || !hn_skip(c, '-') || take_number(c, 2, &month) < 0 ||
        !hn_skip(c, '-') || take_number(c, 2, &day) < 0 || month < 1 || month > 12 || day < 1 ||
        day > 31)
        return -1;
    civil->month = (int)month;
    civil->day = (int)day;
    return 0;
}

/* 04:05:06.789 in microseconds; the hours of an interval may be many. */
static int take_time(hn_cursor *c, int64_t *microseconds)
{
    int64_t hours, minutes, seconds, fraction = 0;
    if (take_number(c, 10, &hours) < 0 || !hn_skip(c, ':') || take_number(c, 2, &minutes) < 0 ||
        !hn_skip(c, ':') || take_number(c, 2, &seconds) < 0 || hours > INT64_C(2562047788))
        return -1;
    if (hn_skip(c, '.')) {
        const uint8_t *start = c->at;
        if (take_number(c, 6, &fraction) < 0)
            return -1;
        for (ptrdiff_t n = c->at - start; n < 6; n++)
            fraction *= 10;
    }
    /* Unsigned, since the longest interval lies at the very end of 64 bits. */
    uint64_t whole = (uint64_t)(hours * 3600 + minutes * 60 + seconds) * (uint64_t)HN_SECOND;
    *microseconds = (int64_t)(whole + (uint64_t)fraction);
    return 0;
}

/* +02, -03:30, +01:02:03 as seconds east of UTC. */
static int take_offset(hn_cursor *c, int32_t *seconds_east)
{
    int negative = hn_skip(c, '-');
    int64_t hours, minutes = 0, seconds = 0;
    if ((!negative && !hn_skip(c, '+')) || take_number(c, 2, &hours) < 0 ||
        (hn_skip(c, ':') && take_number(c, 2, &minutes) < 0) ||
        (hn_skip(c, ':') && take_number(c, 2, &seconds) < 0))
        return -1;
    int64_t east = hours * 3600 + minutes * 60 + seconds;
    *seconds_east = (int32_t)(negative ? -east : east);
    return 0;
}

/* The era, and nothing after it. */
static int take_end(hn_cursor *c, hn_civil *civil)
{
    if (take_word(c, " BC"))
        civil->year = 1 - civil->year;
    return c->at == c->end ? 0 : -1;
}

PyObject *hn_read_date_text(const hn_type *type, const uint8_t *data, size_t len)
{
    hn_cursor c = {data, data + len};
    int sign = take_infinity(&c);
    if (sign != 0)
        return hn_infinite_date(type, sign > 0);
    hn_civil civil;
    if (take_date(&c, &civil) < 0 || take_end(&c, &civil) < 0)
        return not_iso(type);
    return hn_make_date(type, civil);
}

static PyObject *read_timestamp(const hn_type *type, const uint8_t *data, size_t len, PyObject *tz)
{
    hn_cursor c = {data, data + len};
    int sign = take_infinity(&c);
    if (sign != 0)
        return hn_infinite_timestamp(type, sign > 0, tz);
    hn_civil civil;
    int64_t time;
    int32_t east = 0;
    if (take_date(&c, &civil) < 0 || !hn_skip(&c, ' ') || take_time(&c, &time) < 0 ||
        (tz != Py_None && take_offset(&c, &east) < 0) || take_end(&c, &civil) < 0)
        return not_iso(type);
    int64_t days = hn_days_of(civil.year, civil.month, civil.day);
    return hn_make_timestamp(type, days * HN_DAY + time - east * HN_SECOND, tz);
}

PyObject *hn_read_timestamp_text(const hn_type *type, const uint8_t *data, size_t len)
{
    return read_timestamp(type, data, len, Py_None);
}

PyObject *hn_read_timestamptz_text(const hn_type *type, const uint8_t *data, size_t len)
{
    PyObject *utc = hn_fixed_offset(0);
    if (utc == NULL)
        return NULL;
    PyObject *value = read_timestamp(type, data, len, utc);
    Py_DECREF(utc);
    return value;
}

PyObject *hn_read_time_text(const hn_type *type, const uint8_t *data, size_t len)
{
    hn_cursor c = {data, data + len};
    int64_t time;
    if (take_time(&c, &time) < 0 || c.at != c.end)
        return not_iso(type);
    return hn_make_time(type, time, Py_None);
}

PyObject *hn_read_timetz_text(const hn_type *type, const uint8_t *data, size_t len)
{
    hn_cursor c = {data, data + len};
    int64_t time;
    int32_t east;
    if (take_time(&c, &time) < 0 || take_offset(&c, &east) < 0 || c.at != c.end)
        return not_iso(type);
    PyObject *tz = hn_fixed_offset(east);
    PyObject *value = tz == NULL ? NULL : hn_make_time(type, time, tz);
    Py_XDECREF(tz);
    return value;
}
