/* Intervals from the server's text, in any IntervalStyle: each text shows which it is. They arrive
 * as text only inside a value that has no binary format. */
#include "values/types.h"

#include "values/calendar.h"
#include "values/literal.h"
#include "values/moment.h"

/* The parts of an interval. Unsigned, since the longest time lies at the very end of 64 bits and
 * the shortest has no positive twin. */
typedef struct {
    int64_t months, days;
    uint64_t time;
} span;

/* The name of a unit in postgres and postgres_verbose, and what one unit is. */
static const struct {
    const char *name;
    int months, days;
    int64_t time;
} units[] = {
    {"year", 12, 0, 0},
    {"mon", 1, 0, 0},
    {"day", 0, 1, 0},
    {"hour", 0, 0, 3600 * HN_SECOND},
    {"min", 0, 0, 60 * HN_SECOND},
    {"sec", 0, 0, HN_SECOND},
};

static void add(span *s, int negative, int64_t number, uint64_t fraction, int months, int days,
                int64_t time)
{
    int64_t sign = negative ? -1 : 1;
    s->months += sign * number * months;
    s->days += sign * number * days;
    uint64_t size = (uint64_t)number * (uint64_t)time + (time == HN_SECOND ? fraction : 0);
    s->time += negative ? 0 - size : size;
}

static int is_digit(hn_cursor *c)
{
    return hn_peek(c) >= '0' && hn_peek(c) <= '9';
}

/* Digits, at most as many as any number of an interval has. 0 or -1. */
static int take_number(hn_cursor *c, int64_t *number)
{
    int n = 0;
    for (*number = 0; n < 10 && is_digit(c); n++)
        *number = *number * 10 + (*c->at++ - '0');
    return n > 0 ? 0 : -1;
}

/* .789 in microseconds, if there is a fraction. 0 or -1. */
static int take_fraction(hn_cursor *c, uint64_t *fraction)
{
    int n = 0;
    *fraction = 0;
    if (!hn_skip(c, '.'))
        return 0;
    for (; n < 6 && is_digit(c); n++)
        *fraction = *fraction * 10 + (uint64_t)(*c->at++ - '0');
    for (int left = n; left < 6; left++)
        *fraction *= 10;
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

/* The rest of 04:05:06.789 after its hours. 0 or -1. */
static int take_clock(hn_cursor *c, span *s, int negative, int64_t hours)
{
    int64_t minutes, seconds;
    uint64_t fraction;
    if (take_number(c, &minutes) < 0 || !hn_skip(c, ':') || take_number(c, &seconds) < 0 ||
        take_fraction(c, &fraction) < 0)
        return -1;
    add(s, negative, hours, 0, 0, 0, 3600 * HN_SECOND);
    add(s, negative, minutes, 0, 0, 0, 60 * HN_SECOND);
    add(s, negative, seconds, fraction, 0, 0, HN_SECOND);
    return 0;
}

/* `3 days`, `6.7 secs` once the number is taken. 0 or -1. */
static int take_unit(hn_cursor *c, span *s, int negative, int64_t number, uint64_t fraction)
{
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (take_word(c, units[i].name)) {
            hn_skip(c, 's');
            add(s, negative, number, fraction, units[i].months, units[i].days, units[i].time);
            return 0;
        }
    return -1;
}

/* postgres: `-1 years -2 mons +3 days -04:05:06.789`; postgres_verbose: `@ 1 year -2 mons 6.7 secs
 * ago`, `@ 0`; sql_standard: `-1-2`, `-3 4:05:06`, `+1-2 -3 +4:05:06`, `0`. 0 or -1. */
static int take_spaced(hn_cursor *c, span *s)
{
    int is_verbose = take_word(c, "@ "), negative = 0;
    while (c->at < c->end) {
        int64_t number, months;
        uint64_t fraction;
        if (take_word(c, "ago")) {
            s->months = -s->months;
            s->days = -s->days;
            s->time = 0 - s->time;
            return is_verbose && c->at == c->end ? 0 : -1;
        }
        /* In sql_standard the first sign applies to all parts that have none; in postgres a part
         * has one where it differs from that of the part before. */
        if (hn_skip(c, '-'))
            negative = 1;
        else if (hn_skip(c, '+') || is_verbose)
            negative = 0;
        if (take_number(c, &number) < 0 || take_fraction(c, &fraction) < 0)
            return -1;
        if (hn_skip(c, ':')) {
            if (take_clock(c, s, negative, number) < 0)
                return -1;
        } else if (hn_skip(c, '-')) {
            if (take_number(c, &months) < 0)
                return -1;
            add(s, negative, number, 0, 12, 0, 0);
            add(s, negative, months, 0, 1, 0, 0);
        } else if (c->at < c->end) {
            hn_cursor after = *c;
            if (!hn_skip(&after, ' '))
                return -1;
            if (is_digit(&after) || hn_peek(&after) == '-' || hn_peek(&after) == '+') {
                add(s, negative, number, 0, 0, 1, 0); /* days without a word, before a time */
            } else {
                *c = after;
                if (take_unit(c, s, negative, number, fraction) < 0)
                    return -1;
            }
        } else if (number != 0) {
            return -1;
        }
        if (c->at < c->end && !hn_skip(c, ' '))
            return -1;
    }
    return 0;
}

/* iso_8601 after its P: `1Y-2M3DT4H5M-6.789S`. 0 or -1. */
static int take_iso(hn_cursor *c, span *s)
{
    static const struct {
        char letter, in_time;
        uint8_t unit; /* in units */
    } letters[] = {{'Y', 0, 0}, {'M', 0, 1}, {'D', 0, 2}, {'H', 1, 3}, {'M', 1, 4}, {'S', 1, 5}};
    enum { N = sizeof letters / sizeof letters[0] };
    int in_time = 0;
    while (c->at < c->end) {
        if (!in_time && hn_skip(c, 'T'))
            in_time = 1;
        int negative = hn_skip(c, '-'), i = 0;
        int64_t number;
        uint64_t fraction;
        if (take_number(c, &number) < 0 || take_fraction(c, &fraction) < 0)
            return -1;
        while (i < N && (letters[i].in_time != in_time || hn_peek(c) != letters[i].letter))
            i++;
        if (i == N)
            return -1;
        c->at++;
        const uint8_t unit = letters[i].unit;
        add(s, negative, number, fraction, units[unit].months, units[unit].days, units[unit].time);
    }
    return 0;
}

PyObject *hn_read_interval_text(const hn_type *type, const uint8_t *data, size_t len)
{
    hn_cursor c = {data, data + len};
    span s = {0};
    if (take_word(&c, "infinity"))
        return hn_infinite_interval(type, 1);
    if (take_word(&c, "-infinity"))
        return hn_infinite_interval(type, 0);
    if ((hn_skip(&c, 'P') ? take_iso(&c, &s) : take_spaced(&c, &s)) < 0 || s.months < INT32_MIN ||
        s.months > INT32_MAX || s.days < INT32_MIN || s.days > INT32_MAX)
        return hn_unreadable(type, "not in any IntervalStyle");
    return hn_make_interval(type, (int32_t)s.months, (int32_t)s.days, (int64_t)s.time);
}
