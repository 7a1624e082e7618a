/* The texts that every server reads as one value, whatever its settings: binary COPY has no place
 * for a text that the server would have to read.
 *
 * A text is matched with the shapes that its family takes before it is read, since the readers rely
 * on the server for that. In a shape 9 stands for a digit, and any other character for itself.
 */
#include "values/types.h"

#include <string.h>

#include "error.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool has_shape(const char *text, size_t len, const char *shape)
{
    if (strlen(shape) != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (shape[i] == '9' ? !is_digit(text[i]) : text[i] != shape[i])
            return false;
    return true;
}

static size_t count_digits(const char *text, size_t len)
{
    size_t n = 0;
    while (n < len && is_digit(text[n]))
        n++;
    return n;
}

/* An optional minus and digits. */
static bool is_whole(const char *text, size_t len)
{
    size_t sign = len > 0 && text[0] == '-';
    return len > sign && count_digits(text + sign, len - sign) == len - sign;
}

/* The same, with an optional fraction. */
static bool is_decimal(const char *text, size_t len)
{
    size_t sign = len > 0 && text[0] == '-';
    size_t whole = sign + count_digits(text + sign, len - sign);
    if (whole == sign || whole == len)
        return whole > sign;
    size_t fraction = count_digits(text + whole + 1, len - whole - 1);
    return text[whole] == '.' && fraction > 0 && whole + 1 + fraction == len;
}

static int two_digits(const char *text)
{
    return 10 * (text[0] - '0') + (text[1] - '0');
}

/* A day of the calendar, as yyyy-mm-dd. */
static bool is_day(const char *text, size_t len)
{
    enum { FEBRUARY = 2, MONTHS = 12 };
    static const int days[MONTHS] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (!has_shape(text, len, "9999-99-99"))
        return false;
    int century = two_digits(text), year = 100 * century + two_digits(text + 2);
    int month = two_digits(text + 5), day = two_digits(text + 8);
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || century % 4 == 0);
    return year > 0 && month >= 1 && month <= MONTHS && day >= 1 &&
           day <= days[month - 1] + (month == FEBRUARY && is_leap);
}

/* The length of hh:mm:ss with up to six more digits at the beginning; 0 if there is none. */
static size_t clock_length(const char *text, size_t len)
{
    enum { SECONDS = 8, FRACTION_MAX = 6 };
    if (len < SECONDS || !has_shape(text, SECONDS, "99:99:99") || two_digits(text) > 23 ||
        two_digits(text + 3) > 59 || two_digits(text + 6) > 59)
        return 0;
    if (len == SECONDS || text[SECONDS] != '.')
        return SECONDS;
    size_t fraction = count_digits(text + SECONDS + 1, len - SECONDS - 1);
    return fraction == 0 || fraction > FRACTION_MAX ? 0 : SECONDS + 1 + fraction;
}

/* A date, a blank and a time of day; what follows is in rest. */
static bool is_moment(const char *text, size_t len, const char **rest)
{
    enum { DATE = 10 };
    if (len <= DATE || !is_day(text, DATE) || text[DATE] != ' ')
        return false;
    size_t clock = clock_length(text + DATE + 1, len - DATE - 1);
    *rest = text + DATE + 1 + clock;
    return clock > 0;
}

static bool is_offset(const char *text, size_t len)
{
    if (len < 3 || two_digits(text + 1) > 15)
        return false;
    return has_shape(text, len, "+99") || has_shape(text, len, "-99") ||
           has_shape(text, len, "+99:99") || has_shape(text, len, "-99:99");
}

static bool is_uuid(const char *text, size_t len)
{
    static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    if (len != sizeof shape - 1)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((shape[i] == '-') != (text[i] == '-'))
            return false;
    return true;
}

/* Whether the family takes the text. */
static bool is_taken(hn_family family, const char *text, size_t len)
{
    const char *rest;
    switch (family) {
    case HN_FAMILY_INT2:
    case HN_FAMILY_INT4:
    case HN_FAMILY_INT8:
        return is_whole(text, len);
    case HN_FAMILY_NUMERIC:
    case HN_FAMILY_FLOAT8:
        return is_decimal(text, len);
    case HN_FAMILY_BOOL:
        return has_shape(text, len, "t") || has_shape(text, len, "f");
    case HN_FAMILY_DATE:
        return is_day(text, len);
    case HN_FAMILY_TIME:
        return len > 0 && clock_length(text, len) == len;
    case HN_FAMILY_TIMESTAMP:
        return is_moment(text, len, &rest) && rest == text + len;
    case HN_FAMILY_TIMESTAMPTZ:
        return is_moment(text, len, &rest) && is_offset(rest, (size_t)(text + len - rest));
    case HN_FAMILY_UUID:
        return is_uuid(text, len);
    default:
        return false;
    }
}

int hn_write_exact(hn_encoder *encoder, const hn_type *type, PyObject *text, hn_buf *out)
{
    Py_ssize_t len;
    if (type->loads != NULL || type->dumps != NULL || !PyUnicode_IS_ASCII(text))
        return HN_NO_FIT;
    const char *ascii = PyUnicode_AsUTF8AndSize(text, &len);
    if (ascii == NULL)
        return -1;
    if (!is_taken(type->family, ascii, (size_t)len))
        return HN_NO_FIT;
    PyObject *value = type->read_text(type, (const uint8_t *)ascii, (size_t)len);
    if (value == NULL) { /* of the right shape, and no value */
        if (!PyErr_ExceptionMatches(PyExc_Exception))
            return -1;
        PyErr_Clear();
        return HN_NO_FIT;
    }
    int rc = type->write(encoder, type, value, out);
    Py_DECREF(value);
    return rc == HN_AS_TEXT ? HN_NO_FIT : rc;
}
