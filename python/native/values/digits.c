/* The digits of a number as text. */
#include "values/python_types.h"
#include "values/types.h"

/* An int beyond 64 bits. str() refuses long ones, since it is quadratic in their digits. So is
 * Decimal, but numeric has at most 131,072 of them. */
static PyObject *long_digits(const hn_type *type, PyObject *value)
{
    PyObject *plain = PyNumber_Index(value);
    if (plain == NULL)
        return NULL;
    PyObject *digits = NULL;
    if (type->family == HN_FAMILY_NUMERIC) {
        PyObject *decimal = PyObject_CallOneArg(hn_python.create_decimal, plain);
        digits = decimal == NULL ? NULL : PyObject_Str(decimal);
        Py_XDECREF(decimal);
    } else {
        digits = PyLong_Type.tp_repr(plain);
        if (digits == NULL && PyErr_ExceptionMatches(PyExc_ValueError)) {
            PyErr_Clear();
            hn_unfit(type, value, "it has more digits than sys.set_int_max_str_digits() allows");
        }
    }
    Py_DECREF(plain);
    return digits;
}

PyObject *hn_number_digits(const hn_type *type, PyObject *value)
{
    if (PyFloat_Check(value))
        return PyFloat_Type.tp_repr(value);
    if (hn_is_decimal(value))
        return ((PyTypeObject *)hn_python.Decimal)->tp_str(value);
    int overflow;
    long long small = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow == 0)
        return small == -1 && PyErr_Occurred() ? NULL : PyUnicode_FromFormat("%lld", small);
    return long_digits(type, value);
}
