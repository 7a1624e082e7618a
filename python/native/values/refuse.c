/* The errors of the converters: their classes and texts. row.c and encode.c add the column or the
 * parameter. */
#include "values/types.h"

#include <stdarg.h>

#include "error.h"

PyObject *hn_unreadable(const hn_type *type, const char *why)
{
    hn_raise("DataError", "malformed %U from the server: %s", type->name, why);
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

/* The text of the error itself: its str() may add more. */
static PyObject *words_of(PyObject *raised)
{
    PyObject *args = PyObject_GetAttrString(raised, "args"), *words = NULL;
    if (args != NULL && PyTuple_Check(args) && PyTuple_GET_SIZE(args) > 0)
        words = PyObject_Str(PyTuple_GET_ITEM(args, 0));
    else if (args != NULL)
        words = PyUnicode_FromString("");
    Py_XDECREF(args);
    return words;
}

/* The class under which one of Python's own is raised: hypern's Error and that one at once, so that
 * a handler of either catches it. Borrowed; NULL if there is none, or with an exception. */
static PyObject *class_under_error(PyObject *raised)
{
    if (Py_IS_TYPE(raised, (PyTypeObject *)PyExc_TypeError))
        return hn_error_class("ParameterTypeError");
    if (Py_IS_TYPE(raised, (PyTypeObject *)PyExc_ValueError))
        return hn_error_class("ParameterValueError");
    if (Py_IS_TYPE(raised, (PyTypeObject *)PyExc_OverflowError))
        return hn_error_class("ParameterOverflowError");
    return NULL;
}

/* The class to raise an exception with its place as, borrowed: of Python's refusals and hypern's
 * own errors, raised by C. NULL, without an exception set, for one of a user's converter: it has a
 * traceback, which is more useful than a new exception. */
static PyObject *class_with_place(PyObject *raised)
{
    PyObject *traceback = PyException_GetTraceback(raised);
    if (traceback != NULL) {
        Py_DECREF(traceback);
        return NULL;
    }
    PyObject *class = class_under_error(raised);
    if (class != NULL || PyErr_Occurred())
        return class;
    PyObject *database_error = hn_error_class("DatabaseError");
    int ours = database_error == NULL ? -1 : PyObject_IsInstance(raised, database_error);
    return ours > 0 ? (PyObject *)Py_TYPE(raised) : NULL;
}

static PyObject *with_place(PyObject *class, PyObject *raised, PyObject *where, Py_ssize_t row)
{
    PyObject *words = words_of(raised);
    PyObject *text = words == NULL ? NULL : PyUnicode_FromFormat("%U: %U", where, words);
    PyObject *error = text == NULL ? NULL : PyObject_CallOneArg(class, text);
    Py_XDECREF(text);
    Py_XDECREF(words);
    if (error == NULL || row < 0)
        return error;
    PyObject *number = PyLong_FromSsize_t(row);
    if (number == NULL || PyObject_SetAttrString(error, "row", number) < 0)
        Py_CLEAR(error);
    Py_XDECREF(number);
    return error;
}

void hn_raise_with_place(PyObject *raised, PyObject *where, Py_ssize_t row)
{
    PyObject *class = where == NULL ? NULL : class_with_place(raised);
    if (class == NULL && !PyErr_Occurred()) {
        hn_exception_raise(raised);
    } else {
        PyObject *error = class == NULL ? NULL : with_place(class, raised, where, row);
        if (error != NULL)
            PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_XDECREF(error);
        Py_DECREF(raised);
    }
    Py_XDECREF(where);
}
