/* UTF-8 to str, and bytes to hexadecimal. */
#ifndef HN_TEXT_H
#define HN_TEXT_H

#include "values/types.h"

#include <string.h>

/* Text that is not ASCII, or not valid UTF-8. */
PyObject *hn_str_from_wide_utf8(const hn_type *type, const uint8_t *data, size_t len);

/* Two lower-case digits for each byte of a bytes-like object. 0 or -1. */
int hn_write_hex(PyObject *value, hn_buf *out);

static inline int hn_is_ascii(const uint8_t *data, size_t len)
{
    uint64_t bits = 0, word;
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        memcpy(&word, data + i, 8);
        bits |= word;
    }
    for (; i < len; i++)
        bits |= data[i];
    return (bits & 0x8080808080808080u) == 0;
}

/* Most text is ASCII: checking that first makes the str with one allocation and one copy. */
static inline PyObject *hn_str_from_utf8(const hn_type *type, const uint8_t *data, size_t len)
{
    if (len < 2 || !hn_is_ascii(data, len))
        return hn_str_from_wide_utf8(type, data, len);
    PyObject *text = PyUnicode_New((Py_ssize_t)len, 127);
    if (text != NULL)
        memcpy(PyUnicode_1BYTE_DATA(text), data, len);
    return text;
}

#endif
