/* JSON text into Python values, as json.loads makes them: ints are exact, keys keep their order,
 * and the last of two equal keys counts. */
#include "values/json_text.h"

#include "error.h"
#include "values/python_types.h"
#include "values/text.h"

enum { MAX_DEPTH = 2000 };

typedef struct {
    const uint8_t *at, *end;
    const hn_type *type;
    int depth;
} reader;

static PyObject *read_any(reader *r);

static PyObject *malformed(reader *r, const char *why)
{
    return hn_unreadable(r->type, why);
}

static inline void skip_space(reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
        r->at++;
}

/* Recent keys: rows of one column have the same ones, and a str that is found here is neither made
 * nor hashed again. Process-wide, under the GIL. */
enum { NKEYS = 256, MAX_KEY = 40 };
static PyObject *recent_keys[NKEYS];

static PyObject *key_from(reader *r, const uint8_t *text, size_t len)
{
    if (len == 0 || len > MAX_KEY || !hn_is_ascii(text, len))
        return hn_str_from_utf8(r->type, text, len);
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ text[i]) * 16777619u;
    PyObject **slot = &recent_keys[(hash ^ hash >> 16) % NKEYS];
    if (*slot != NULL && PyUnicode_GET_LENGTH(*slot) == (Py_ssize_t)len &&
        memcmp(PyUnicode_1BYTE_DATA(*slot), text, len) == 0)
        return Py_NewRef(*slot);
    PyObject *key = hn_str_from_utf8(r->type, text, len);
    if (key != NULL)
        Py_XSETREF(*slot, Py_NewRef(key));
    return key;
}

static int hex4(const uint8_t *at, uint32_t *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t c = at[i];
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = c - (uint32_t)'0';
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            digit = (c | 32u) - 'a' + 10u;
        else
            return -1;
        *code = *code << 4 | digit;
    }
    return 0;
}

/* UTF-8, also of a lone surrogate. */
static size_t put_utf8(uint8_t *at, uint32_t code)
{
    if (code < 0x80) {
        at[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        at[0] = (uint8_t)(0xC0 | code >> 6);
        at[1] = (uint8_t)(0x80 | (code & 63));
        return 2;
    }
    if (code < 0x10000) {
        at[0] = (uint8_t)(0xE0 | code >> 12);
        at[1] = (uint8_t)(0x80 | (code >> 6 & 63));
        at[2] = (uint8_t)(0x80 | (code & 63));
        return 3;
    }
    at[0] = (uint8_t)(0xF0 | code >> 18);
    at[1] = (uint8_t)(0x80 | (code >> 12 & 63));
    at[2] = (uint8_t)(0x80 | (code >> 6 & 63));
    at[3] = (uint8_t)(0x80 | (code & 63));
    return 4;
}

/* The escape after a backslash; *at moves past it. 0 or -1. */
static int read_escape(const uint8_t **at, const uint8_t *end, uint32_t *code)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *found = **at == '\0' ? NULL : strchr(names, **at);
    if (found != NULL) {
        *code = (uint32_t)values[found - names];
        (*at)++;
        return 0;
    }
    if (**at != 'u' || end - *at < 5 || hex4(*at + 1, code) < 0)
        return -1;
    *at += 5;
    uint32_t low;
    if (*code >= 0xD800 && *code < 0xDC00 && end - *at >= 6 && (*at)[0] == '\\' &&
        (*at)[1] == 'u' && hex4(*at + 2, &low) == 0 && low >= 0xDC00 && low < 0xE000) {
        *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
        *at += 6;
    }
    return 0;
}

/* A string with escapes; an escape is never shorter than the UTF-8 it stands for. */
static PyObject *unescape(reader *r, const uint8_t *at, const uint8_t *end)
{
    uint8_t *bytes = PyMem_Malloc((size_t)(end - at) + 4), *into = bytes;
    if (bytes == NULL)
        return PyErr_NoMemory();
    int surrogates = 0;
    while (at < end) {
        if (*at != '\\') {
            *into++ = *at++;
            continue;
        }
        uint32_t code;
        at++;
        if (at == end || read_escape(&at, end, &code) < 0) {
            PyMem_Free(bytes);
            return malformed(r, "invalid escape in a string");
        }
        surrogates |= code >= 0xD800 && code < 0xE000;
        into += put_utf8(into, code);
    }
    PyObject *text;
    if (surrogates)
        text = PyUnicode_DecodeUTF8((const char *)bytes, into - bytes, "surrogatepass");
    else
        text = hn_str_from_utf8(r->type, bytes, (size_t)(into - bytes));
    PyMem_Free(bytes);
    if (text == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        PyErr_Clear();
        return malformed(r, "a string is not UTF-8");
    }
    return text;
}

static PyObject *read_string(reader *r, int is_key)
{
    const uint8_t *start = ++r->at, *at = start;
    int escapes = 0;
    for (;; at++) {
        if (at >= r->end)
            return malformed(r, "a string does not end");
        if (*at == '"')
            break;
        if (*at == '\\') {
            escapes = 1;
            if (++at >= r->end)
                return malformed(r, "a string does not end");
        } else if (*at < 0x20) {
            return malformed(r, "a string has a control character");
        }
    }
    r->at = at + 1;
    if (escapes)
        return unescape(r, start, at);
    return is_key ? key_from(r, start, (size_t)(at - start))
                  : hn_str_from_utf8(r->type, start, (size_t)(at - start));
}

/* Numbers that neither a 64-bit int nor an exact division can give. */
static PyObject *slow_number(reader *r, const uint8_t *start, int is_float)
{
    size_t len = (size_t)(r->at - start);
    char small[128], *text = len < sizeof small ? small : PyMem_Malloc(len + 1);
    if (text == NULL)
        return PyErr_NoMemory();
    memcpy(text, start, len);
    text[len] = '\0';
    PyObject *value = NULL;
    if (is_float) {
        double d = PyOS_string_to_double(text, NULL, NULL);
        if (d != -1.0 || !PyErr_Occurred())
            value = PyFloat_FromDouble(d);
    } else {
        value = PyLong_FromString(text, NULL, 10);
    }
    if (text != small)
        PyMem_Free(text);
    if (value != NULL || !PyErr_ExceptionMatches(PyExc_ValueError))
        return value;
    PyErr_Clear();
    if (is_float)
        return malformed(r, "invalid number");
    /* As json.loads does: converting digits takes quadratic time, and nothing could interrupt it.
     */
    return hn_beyond_python(r->type,
                            "an int of %zu digits, more than sys.set_int_max_str_digits() allows",
                            len - (*start == '-'));
}

static inline int is_digit(const reader *r)
{
    return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

static PyObject *read_number(reader *r)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8, 1e9,
                                    1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18};
    const uint8_t *start = r->at;
    int negative = *r->at == '-', ndigits = 0, scale = 0;
    uint64_t digits = 0;
    r->at += negative;
    if (!is_digit(r))
        return malformed(r, "a value is missing");
    for (; is_digit(r); r->at++, ndigits++)
        digits = digits * 10 + (*r->at - (uint64_t)'0'); /* kept only if it cannot have wrapped */
    if (ndigits > 1 && start[negative] == '0')
        return malformed(r, "a number begins with a zero");
    int is_float = 0, has_exponent = 0;
    if (r->at < r->end && *r->at == '.') {
        is_float = 1;
        for (r->at++; is_digit(r); r->at++, ndigits++, scale++)
            digits = digits * 10 + (*r->at - (uint64_t)'0');
        if (scale == 0)
            return malformed(r, "invalid number");
    }
    if (r->at < r->end && (*r->at | 32) == 'e') {
        is_float = has_exponent = 1;
        r->at++;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-'))
            r->at++;
        if (!is_digit(r))
            return malformed(r, "invalid number");
        while (is_digit(r))
            r->at++;
    }
    if (ndigits > 18 || has_exponent)
        return slow_number(r, start, is_float);
    if (!is_float)
        return PyLong_FromLongLong(negative ? -(int64_t)digits : (int64_t)digits);
    /* Both are exact doubles, so their quotient is the nearest double to the number. */
    if (digits > (UINT64_C(1) << 53))
        return slow_number(r, start, is_float);
    double d = (double)digits / powers[scale];
    return PyFloat_FromDouble(negative ? -d : d);
}

static PyObject *read_list(reader *r)
{
    PyObject *list = PyList_New(0);
    if (list == NULL)
        return NULL;
    r->at++;
    skip_space(r);
    if (r->at < r->end && *r->at == ']') {
        r->at++;
        return list;
    }
    for (;;) {
        PyObject *item = read_any(r);
        if (item == NULL)
            goto failed;
        int appended = PyList_Append(list, item);
        Py_DECREF(item);
        if (appended < 0)
            goto failed;
        skip_space(r);
        if (r->at >= r->end || (*r->at != ',' && *r->at != ']')) {
            malformed(r, "a list does not end");
            goto failed;
        }
        if (*r->at++ == ']')
            return list;
    }
failed:
    Py_DECREF(list);
    return NULL;
}

/* One `"key": value`. 0 or -1. */
static int read_member(reader *r, PyObject *dict)
{
    skip_space(r);
    if (r->at >= r->end || *r->at != '"')
        return malformed(r, "a key is missing"), -1;
    PyObject *key = read_string(r, 1);
    if (key == NULL)
        return -1;
    PyObject *value = NULL;
    skip_space(r);
    if (r->at < r->end && *r->at == ':') {
        r->at++;
        value = read_any(r);
    } else {
        malformed(r, "a colon is missing");
    }
    int set = value == NULL ? -1 : PyDict_SetItem(dict, key, value);
    Py_XDECREF(value);
    Py_DECREF(key);
    return set;
}

static PyObject *read_dict(reader *r)
{
    PyObject *dict = PyDict_New();
    if (dict == NULL)
        return NULL;
    r->at++;
    skip_space(r);
    if (r->at < r->end && *r->at == '}') {
        r->at++;
        return dict;
    }
    for (;;) {
        if (read_member(r, dict) < 0)
            break;
        skip_space(r);
        if (r->at >= r->end || (*r->at != ',' && *r->at != '}')) {
            malformed(r, "an object does not end");
            break;
        }
        if (*r->at++ == '}')
            return dict;
    }
    Py_DECREF(dict);
    return NULL;
}

static PyObject *read_word(reader *r, const char *word, size_t len, PyObject *value)
{
    if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0)
        return malformed(r, "a value is missing");
    r->at += len;
    return Py_NewRef(value);
}

static PyObject *read_any(reader *r)
{
    skip_space(r);
    if (r->at >= r->end)
        return malformed(r, "a value is missing");
    switch (*r->at) {
    case '"':
        return read_string(r, 0);
    case 't':
        return read_word(r, "true", 4, Py_True);
    case 'f':
        return read_word(r, "false", 5, Py_False);
    case 'n':
        return read_word(r, "null", 4, Py_None);
    case '[':
    case '{':
        break;
    default:
        return read_number(r);
    }
    if (++r->depth > MAX_DEPTH)
        return hn_beyond_python(r->type, "nested more than %d deep", MAX_DEPTH);
    PyObject *value = *r->at == '[' ? read_list(r) : read_dict(r);
    r->depth--;
    return value;
}

PyObject *hn_json_read(const hn_type *type, const uint8_t *data, size_t len)
{
    reader r = {data, data + len, type, 0};
    PyObject *value = read_any(&r);
    if (value == NULL)
        return NULL;
    skip_space(&r);
    if (r.at == r.end)
        return value;
    Py_DECREF(value);
    return malformed(&r, "something follows the value");
}
