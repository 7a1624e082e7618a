/* What the converters import from Python's library. */
#include "values/python_types.h"

struct hn_python hn_python;

static int import_names(void)
{
    const struct {
        const char *module, *name;
        PyObject **into;
    } names[] = {
        {"decimal", "Decimal", &hn_python.Decimal},
        {"enum", "Enum", &hn_python.Enum},
        {"uuid", "UUID", &hn_python.UUID},
        {"dataclasses", "is_dataclass", &hn_python.is_dataclass},
        {"dataclasses", "fields", &hn_python.dataclass_fields},
        {"ipaddress", "IPv4Address", &hn_python.IPv4Address},
        {"ipaddress", "IPv6Address", &hn_python.IPv6Address},
        {"ipaddress", "IPv4Interface", &hn_python.IPv4Interface},
        {"ipaddress", "IPv6Interface", &hn_python.IPv6Interface},
        {"ipaddress", "IPv4Network", &hn_python.IPv4Network},
        {"ipaddress", "IPv6Network", &hn_python.IPv6Network},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        PyObject *module = PyImport_ImportModule(names[i].module);
        if (module == NULL)
            return -1;
        *names[i].into = PyObject_GetAttrString(module, names[i].name);
        Py_DECREF(module);
        if (*names[i].into == NULL)
            return -1;
    }
    return 0;
}

/* decimal.Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[]).create_decimal: exact
 * for anything PostgreSQL can send, and it takes neither keywords nor the thread's own context. */
static int make_create_decimal(void)
{
    PyObject *module = PyImport_ImportModule("decimal");
    if (module == NULL)
        return -1;
    PyObject *class = PyObject_GetAttrString(module, "Context");
    PyObject *prec = PyObject_GetAttrString(module, "MAX_PREC");
    PyObject *emax = PyObject_GetAttrString(module, "MAX_EMAX");
    PyObject *emin = PyObject_GetAttrString(module, "MIN_EMIN");
    PyObject *args = PyTuple_New(0), *keywords = NULL, *context = NULL;
    if (class != NULL && prec != NULL && emax != NULL && emin != NULL && args != NULL)
        keywords =
            Py_BuildValue("{s:O,s:O,s:O,s:[]}", "prec", prec, "Emax", emax, "Emin", emin, "traps");
    if (keywords != NULL)
        context = PyObject_Call(class, args, keywords);
    if (context != NULL)
        hn_python.create_decimal = PyObject_GetAttrString(context, "create_decimal");
    Py_XDECREF(context);
    Py_XDECREF(keywords);
    Py_XDECREF(args);
    Py_XDECREF(emin);
    Py_XDECREF(emax);
    Py_XDECREF(prec);
    Py_XDECREF(class);
    Py_DECREF(module);
    return hn_python.create_decimal == NULL ? -1 : 0;
}

static int find_uuid_slots(void)
{
    PyObject *module = PyImport_ImportModule("uuid");
    if (module == NULL)
        return -1;
    PyObject *safe = PyObject_GetAttrString(module, "SafeUUID");
    Py_DECREF(module);
    if (safe == NULL)
        return -1;
    hn_python.uuid_unknown = PyObject_GetAttrString(safe, "unknown");
    Py_DECREF(safe);
    hn_python.uuid_int = PyObject_GetAttrString(hn_python.UUID, "int");
    hn_python.uuid_is_safe = PyObject_GetAttrString(hn_python.UUID, "is_safe");
    if (hn_python.uuid_unknown == NULL || hn_python.uuid_int == NULL ||
        hn_python.uuid_is_safe == NULL)
        return -1;
    if (Py_TYPE(hn_python.uuid_int)->tp_descr_set != NULL &&
        Py_TYPE(hn_python.uuid_is_safe)->tp_descr_set != NULL)
        return 0;
    PyErr_SetString(PyExc_ImportError, "uuid.UUID is not laid out as this extension expects");
    return -1;
}

int hn_python_init(void)
{
    if (hn_python.str_value != NULL)
        return 0;
    if (import_names() < 0 || make_create_decimal() < 0 || find_uuid_slots() < 0)
        return -1;
    hn_python.str_int = PyUnicode_InternFromString("int");
    hn_python.str_utcoffset = PyUnicode_InternFromString("utcoffset");
    hn_python.str_value = PyUnicode_InternFromString("value");
    return hn_python.str_int && hn_python.str_utcoffset && hn_python.str_value ? 0 : -1;
}

int hn_is_decimal(PyObject *value)
{
    return PyObject_TypeCheck(value, (PyTypeObject *)hn_python.Decimal);
}

PyObject *hn_range_class(void)
{
    if (hn_python.Range == NULL) {
        PyObject *module = PyImport_ImportModule("hypern._range");
        if (module == NULL)
            return NULL;
        hn_python.Range = PyObject_GetAttrString(module, "Range");
        Py_DECREF(module);
    }
    return hn_python.Range;
}

PyObject *hn_plainer(PyObject *value)
{
    int is_enum = PyObject_IsInstance(value, hn_python.Enum);
    if (is_enum <= 0)
        return NULL;
    return PyObject_GetAttr(value, hn_python.str_value);
}
