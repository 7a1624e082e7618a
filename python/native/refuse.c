/* The errors of the converters: which class, which words. The row and the statement's encoder add
 * the column or the parameter (row.c, encode.c). */
#include "types.h"

#include <stdarg.h>

#include "error.h"

PyObject *hn_unreadable(const hn_type *type, const char *why)
{
    hn_raise("DataError", "the server's bytes are no %U: %s", type->name, why);
    return NULL;
}

PyObject *hn_beyond_python(const hn_type *type, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    PyObject *what = PyUnicode_FromFormatV(format, args);
    va_end(args);
    if (what != NULL)
        hn_raise("DataError", "Python cannot hold this %U: %U", type->name, what);
    Py_XDECREF(what);
    return NULL;
}

int hn_out_of_range(const hn_type *type, PyObject *value)
{
    return hn_raise("NumericValueOutOfRange", "this %.100s is out of range for PostgreSQL type %U",
                    Py_TYPE(value)->tp_name, type->name);
}

int hn_unfit(const hn_type *type, PyObject *value, const char *why)
{
    return hn_raise("DataError", "this %.100s cannot be sent as PostgreSQL type %U: %s",
                    Py_TYPE(value)->tp_name, type->name, why);
}
