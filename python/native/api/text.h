/* SQL that is more than a str with $1, $2, ...: templates, and parameters by name. hypern.sql makes
 * of it a str and a sequence. */
#ifndef HN_TEXT_H
#define HN_TEXT_H

#include "native.h"

/* Whether (sql, params) has to be resolved: a str with a list or tuple, or without params (NULL),
 * has not. */
static inline bool hn_text_is_plain(PyObject *sql, PyObject *params)
{
    return PyUnicode_Check(sql) &&
           (params == NULL || PyList_Check(params) || PyTuple_Check(params));
}

/* What they stand for: a new reference to a pair (sql, params), of which params may be None; or
 * NULL with an exception. */
PyObject *hn_text_resolve(PyObject *sql, PyObject *params);

/* The same for execute_many: params_list may become another iterable. NULL without an exception:
 * they stand for themselves. */
PyObject *hn_text_resolve_many(PyObject *sql, PyObject *params_list);
/* And for a script, which has no parameters: a new reference to the str. */
PyObject *hn_text_resolve_script(PyObject *sql);

/* Functions of the module, for hypern.sql. */
extern PyMethodDef hn_text_methods[];

#endif
