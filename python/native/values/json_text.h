/* JSON text and Python values. */
#ifndef HN_JSON_TEXT_H
#define HN_JSON_TEXT_H

#include "values/types.h"

/* A new value, or NULL with DataError. */
PyObject *hn_json_read(const hn_type *type, const uint8_t *data, size_t len);
/* Appends the value's JSON; returns what a writer does. HN_NO_FIT only for the value itself: what
 * it contains raises. */
int hn_json_write(const hn_type *type, PyObject *value, hn_buf *out);

#endif
