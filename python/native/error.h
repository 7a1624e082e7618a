/* Exceptions: hypern.errors for C, and carrying one exception across other calls. GIL held. */
#ifndef HN_ERROR_H
#define HN_ERROR_H

#include <Python.h>

#include <stddef.h>
#include <stdint.h>

/* A class of hypern.errors by name, borrowed (the module keeps it); imports the module the first
 * time. NULL with an exception if there is no such class. */
PyObject *hn_error_class(const char *name);

/* hypern.errors itself, borrowed, or NULL with an exception. */
PyObject *hn_errors_module(void);

/* Raise a class of hypern.errors with a message as PyUnicode_FromFormat makes it. Always -1. */
int hn_raise(const char *class_name, const char *format, ...);

/* Raise what the core reported: its error as JSON. Always -1. */
int hn_raise_core(const uint8_t *json, size_t len);

/* Raise NoRows for query_one and query_value. Always -1. */
int hn_raise_no_rows(void);
/* Raise TooManyRows for query_one(strict=True), as PL/pgSQL's STRICT does. Always -1. */
int hn_raise_too_many_rows(void);

/* The exception being raised, taken out of the thread (new reference; NULL if there is none), and
 * put back (the reference is stolen). */
PyObject *hn_exception_take(void);
void hn_exception_raise(PyObject *exception);

#endif
