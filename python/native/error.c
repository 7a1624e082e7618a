/* Exceptions: hypern.errors for C, and carrying one exception across other calls. */
#include "error.h"

#include <stdarg.h>

/* Imported with the first error and never dropped: classes are handed out borrowed. */
static PyObject *errors_module;

PyObject *hn_errors_module(void)
{
    if (errors_module == NULL)
        errors_module = PyImport_ImportModule("hypern.errors");
    return errors_module;
}

PyObject *hn_error_class(const char *name)
{
    PyObject *module = hn_errors_module();
    if (module == NULL)
        return NULL;
    PyObject *class = PyObject_GetAttrString(module, name);
    /* The module's dict holds it for good, so the borrowed pointer outlives this reference. */
    Py_XDECREF(class);
    return class;
}

int hn_raise(const char *class_name, const char *format, ...)
{
    PyObject *class = hn_error_class(class_name);
    if (class == NULL)
        return -1;
    va_list args;
    va_start(args, format);
    PyErr_FormatV(class, format, args);
    va_end(args);
    return -1;
}

int hn_raise_core(const uint8_t *json, size_t len)
{
    PyObject *module = hn_errors_module();
    if (module == NULL)
        return -1;
    if (len == 0)
        return hn_raise("InterfaceError", "the core refused the call and gave no reason");
    PyObject *data = PyBytes_FromStringAndSize((const char *)json, (Py_ssize_t)len);
    if (data == NULL)
        return -1;
    PyObject *exception = PyObject_CallMethod(module, "from_core", "O", data);
    Py_DECREF(data);
    if (exception == NULL)
        return -1;
    PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_DECREF(exception);
    return -1;
}

int hn_raise_no_rows(void)
{
    return hn_raise("NoRows", "No rows returned by a query that must return one");
}

int hn_raise_too_many_rows(void)
{
    return hn_raise("TooManyRows", "More than one row returned by a query that must return one");
}

PyObject *hn_exception_take(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (type == NULL)
        return NULL;
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL && PyException_SetTraceback(value, traceback) < 0)
        PyErr_Clear();
    Py_XDECREF(traceback);
    Py_DECREF(type);
    return value;
#endif
}

void hn_exception_raise(PyObject *exception)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(exception);
#else
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(exception)), exception,
                  PyException_GetTraceback(exception));
#endif
}
