/* What the converters import from Python's library, once, and keep for the life of the process. */
#ifndef HN_PYTHON_TYPES_H
#define HN_PYTHON_TYPES_H

#include <Python.h>

/* Fills hn_python, once. 0, or -1 with an exception. */
int hn_python_init(void);

extern struct hn_python {
    PyObject *Decimal, *create_decimal; /* the second: of a context without limits, so exact */
    PyObject *Enum, *UUID, *is_dataclass, *dataclass_fields;
    PyObject *IPv4Address, *IPv6Address, *IPv4Interface, *IPv6Interface, *IPv4Network, *IPv6Network;
    PyObject *ZoneInfo;                /* NULL until a first use: it reads files */
    PyObject *Range;                   /* hypern._range.Range, NULL until a first use */
    PyObject *uuid_int, *uuid_is_safe; /* the descriptors of UUID's two slots */
    PyObject *uuid_unknown;            /* SafeUUID.unknown */
    PyObject *str_value, *str_int, *str_utcoffset;
} hn_python;

int hn_is_decimal(PyObject *value);
/* The form in which a writer may take a value that none takes as it is: the value of an enum. A new
 * reference, or NULL without an exception if there is no such form. */
PyObject *hn_plainer(PyObject *value);
/* hypern.Range, borrowed; NULL with an exception. */
PyObject *hn_range_class(void);

#endif
