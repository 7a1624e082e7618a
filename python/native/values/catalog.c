/* Types that are not built in, as the server's catalog describes them. */
#include "values/types.h"

#include "error.h"

/* The rows of HN_OP_TYPES as they are read; `at` never passes `end`. */
typedef struct {
    const uint8_t *at, *end;
} cursor;

static int take(cursor *c, void *into, size_t size)
{
    if ((size_t)(c->end - c->at) < size) {
        PyErr_SetString(PyExc_SystemError, "the core's description of a type is truncated");
        return -1;
    }
    memcpy(into, c->at, size); /* host order: the core wrote it */
    c->at += size;
    return 0;
}

static PyObject *take_string(cursor *c)
{
    uint16_t len;
    if (take(c, &len, sizeof len) < 0)
        return NULL;
    if ((size_t)(c->end - c->at) < len) {
        PyErr_SetString(PyExc_SystemError, "the core's description of a type is truncated");
        return NULL;
    }
    PyObject *text = PyUnicode_DecodeUTF8((const char *)c->at, len, "replace");
    c->at += len;
    if (text != NULL)
        PyUnicode_InternInPlace(&text);
    return text;
}

static hn_family family_of(uint8_t typtype, int true_array, PyObject *name)
{
    switch (typtype) {
    case 'e':
        return HN_FAMILY_ENUM;
    case 'd':
        return HN_FAMILY_DOMAIN;
    case 'c':
        return HN_FAMILY_COMPOSITE;
    case 'r':
        return HN_FAMILY_RANGE;
    case 'm':
        return HN_FAMILY_MULTIRANGE;
    case 'b':
        if (true_array)
            return HN_FAMILY_ARRAY;
        if (PyUnicode_CompareWithASCIIString(name, "hstore") == 0)
            return HN_FAMILY_HSTORE;
        if (PyUnicode_CompareWithASCIIString(name, "citext") == 0)
            return HN_FAMILY_TEXT;
        return HN_FAMILY_SERVER_TEXT;
    default:
        return HN_FAMILY_SERVER_TEXT;
    }
}

/* Only these are made of their related type: typelem is set for other types too. */
static int is_made_of_related(hn_family family)
{
    return family == HN_FAMILY_ARRAY || family == HN_FAMILY_RANGE ||
           family == HN_FAMILY_MULTIRANGE || family == HN_FAMILY_DOMAIN;
}

static int take_fields(cursor *c, hn_type *type)
{
    uint16_t n;
    if (take(c, &n, sizeof n) < 0)
        return -1;
    if (n == 0)
        return 0;
    type->fields = PyMem_Calloc(n, sizeof *type->fields);
    if (type->fields == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    type->nfields = n;
    for (uint16_t i = 0; i < n; i++) {
        if (take(c, &type->fields[i].oid, sizeof type->fields[i].oid) < 0 ||
            (type->fields[i].name = take_string(c)) == NULL)
            return -1;
    }
    return 0;
}

static int take_type(hn_codec *codec, cursor *c)
{
    uint32_t oid, related;
    uint8_t typtype, typcategory, delimiter, true_array;
    if (take(c, &oid, sizeof oid) < 0 || take(c, &typtype, 1) < 0 || take(c, &typcategory, 1) < 0 ||
        take(c, &delimiter, 1) < 0 || take(c, &true_array, 1) < 0 ||
        take(c, &related, sizeof related) < 0)
        return -1;
    PyObject *name = take_string(c);
    PyObject *schema = name == NULL ? NULL : take_string(c);
    hn_type *type = NULL;
    if (schema != NULL)
        type = hn_type_add(codec, oid, family_of(typtype, true_array, name), name);
    int rc = -1;
    if (type != NULL && take_fields(c, type) == 0) {
        type->delimiter = (char)delimiter;
        if (related != 0 && is_made_of_related(type->family))
            type->related_oid = related;
        else if (is_made_of_related(type->family))
            hn_type_set_family(type, HN_FAMILY_SERVER_TEXT);
        rc = hn_type_apply_registered(type, PyUnicode_AsUTF8(schema));
    }
    Py_XDECREF(name);
    Py_XDECREF(schema);
    return rc;
}

int hn_codec_add_types(hn_codec *codec, const uint8_t *rows, size_t len, const uint32_t *requested,
                       size_t nrequested)
{
    cursor c = {rows, rows + len};
    while (c.at < c.end)
        if (take_type(codec, &c) < 0)
            return -1;
    for (size_t i = 0; i < nrequested; i++) {
        if (hn_type_known(codec, requested[i]) != NULL)
            continue;
        if (PyErr_Occurred())
            return -1;
        PyObject *name = PyUnicode_FromFormat("type %lu", (unsigned long)requested[i]);
        hn_type *type = hn_type_add(codec, requested[i], HN_FAMILY_SERVER_TEXT, name);
        Py_XDECREF(name);
        if (type == NULL)
            return -1;
        type->undescribed = 1;
    }
    return 0;
}
