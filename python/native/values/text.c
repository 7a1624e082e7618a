/* Text: str from the server's UTF-8 and back, and the types whose values stay text. */
#include "values/text.h"

#include "error.h"
#include "values/python_types.h"

PyObject *hn_str_from_wide_utf8(const hn_type *type, const uint8_t *data, size_t len)
{
    PyObject *text = PyUnicode_DecodeUTF8((const char *)data, (Py_ssize_t)len, NULL);
    if (text == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        PyErr_Clear();
        return hn_unreadable(type, "invalid UTF-8");
    }
    return text;
}

PyObject *hn_read_text(const hn_type *type, const uint8_t *data, size_t len)
{
    return hn_str_from_utf8(type, data, len);
}

/* The UTF-8 of a str that the type can hold, or NULL with an exception. */
static const char *read_str(const hn_type *type, PyObject *value, Py_ssize_t *len)
{
    const char *text = PyUnicode_AsUTF8AndSize(value, len);
    if (text == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
            return NULL;
        PyErr_Clear();
        hn_raise("CharacterNotInRepertoire",
                 "this str has a surrogate, which PostgreSQL type %U cannot hold", type->name);
        return NULL;
    }
    if (memchr(text, 0, (size_t)*len) == NULL)
        return text;
    hn_raise("CharacterNotInRepertoire",
             "this str has a NUL character, which PostgreSQL type %U cannot hold", type->name);
    return NULL;
}

int hn_write_str(const hn_type *type, PyObject *value, hn_buf *out)
{
    Py_ssize_t len;
    const char *text = read_str(type, value, &len);
    return text == NULL ? -1 : hn_buf_bytes(out, text, (size_t)len);
}

int hn_write_long_str(const hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    Py_ssize_t len;
    const char *text = read_str(type, value, &len);
    return text == NULL ? -1 : hn_write_bytes(encoder, text, (size_t)len, out);
}

/* Types whose values are str in both directions. */
int hn_write_server_text(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    if (!PyUnicode_Check(value))
        return HN_NO_FIT;
    return type->binary ? hn_write_long_str(encoder, type, value, out) : HN_AS_TEXT;
}

static int is_octal_escape(const char *text, Py_ssize_t len)
{
    if (len != 4 || text[0] != '\\' || text[1] > '3')
        return 0;
    for (int i = 1; i < 4; i++)
        if (text[i] < '0' || text[i] > '7')
            return 0;
    return 1;
}

/* "char" is one byte: the server would silently drop the rest of a longer text. Four bytes
 * are its escape for a byte that is not ASCII. */
int hn_write_char(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder, (void)out;
    if (!PyUnicode_Check(value))
        return HN_NO_FIT;
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(value, &len);
    if (text != NULL && len > 1 && !is_octal_escape(text, len))
        return hn_unfit(type, value, "it is longer than one byte");
    PyErr_Clear(); /* hn_write_text reports a surrogate */
    return HN_AS_TEXT;
}

/* The server reads amounts by its lc_monetary, so they are sent as text. A Decimal is refused,
 * since its point may separate thousands there. */
int hn_write_money(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder, (void)type, (void)out;
    int fits = PyUnicode_Check(value) || (PyLong_Check(value) && !PyBool_Check(value));
    return fits ? HN_AS_TEXT : HN_NO_FIT;
}

/* Names of catalog objects; the server also takes their OIDs. */
int hn_write_reg(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder, (void)type, (void)out;
    int fits = PyUnicode_Check(value) || (PyLong_Check(value) && !PyBool_Check(value));
    return fits ? HN_AS_TEXT : HN_NO_FIT;
}
