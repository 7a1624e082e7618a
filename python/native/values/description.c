/* A statement's description: parameter types and columns, with the converters chosen for them. */
#include "values/description.h"

#include "error.h"

/* Beyond these a codec begins anew, between two descriptions: each temporary table that a statement
 * reads whole rows of has a type of its own. */
#define TYPES_MAX 4096

/* The parts of the description: a host-order length, then that many bytes. */
static int next_part(const uint8_t **at, const uint8_t *end, const uint8_t **part, size_t *len)
{
    uint32_t n;
    if (end - *at < 4)
        goto short_;
    memcpy(&n, *at, sizeof n);
    *at += 4;
    if ((size_t)(end - *at) < n)
        goto short_;
    *part = *at;
    *len = n;
    *at += n;
    return 0;
short_:
    return hn_raise("InterfaceError", "the description of a statement is cut short");
}

static int read_parameters(hn_description *description, const uint8_t *at, size_t len)
{
    if (len == 0)
        return 0;
    if (len < 2 || len != 2 + 4 * (size_t)hn_get_u16(at))
        return hn_raise("InterfaceError",
                        "ParameterDescription does not have the length it announces");
    description->nparams = hn_get_u16(at);
    description->params = PyMem_Calloc(description->nparams + 1u, sizeof *description->params);
    if (description->params == NULL)
        return PyErr_NoMemory(), -1;
    for (uint16_t i = 0; i < description->nparams; i++)
        description->params[i].oid = hn_get_u32(at + 2 + 4 * (size_t)i);
    return 0;
}

/* RowDescription: per column a name, then 18 bytes. */
int hn_description_read_columns(hn_description *description, const uint8_t *at, size_t len)
{
    if (len == 0)
        return 0;
    const uint8_t *end = at + len;
    if (len < 2)
        goto lies;
    description->ncolumns = hn_get_u16(at);
    at += 2;
    description->columns = PyMem_Calloc(description->ncolumns + 1u, sizeof *description->columns);
    if (description->columns == NULL)
        return PyErr_NoMemory(), -1;
    for (uint16_t i = 0; i < description->ncolumns; i++) {
        const uint8_t *nul = memchr(at, 0, (size_t)(end - at));
        if (nul == NULL || end - nul < 19)
            goto lies;
        PyObject *name = PyUnicode_DecodeUTF8((const char *)at, nul - at, "replace");
        if (name == NULL)
            return -1;
        PyUnicode_InternInPlace(&name);
        description->columns[i].name = name;
        description->columns[i].table = hn_get_u32(nul + 1);
        description->columns[i].number = hn_get_u16(nul + 5);
        description->columns[i].oid = hn_get_u32(nul + 7);
        description->columns[i].size = (int16_t)hn_get_u16(nul + 11);
        description->columns[i].modifier = (int32_t)hn_get_u32(nul + 13);
        at = nul + 19;
    }
    if (at == end)
        return 0;
lies:
    return hn_raise("InterfaceError", "RowDescription does not have the length it announces");
}

/* Fewer parameters than are declared: the server has other ones in mind. */
static int take_declared(hn_description *description, const hn_declared *declared)
{
    if (declared == NULL || declared->n == 0)
        return 0;
    for (size_t i = 0; i < declared->n && i < description->nparams; i++)
        description->params[i].declared = declared->oids[i];
    return hn_declared_copy(&description->declared, declared);
}

hn_description *hn_description_new(hn_codec *codec, const uint8_t *out, size_t len,
                                   const hn_declared *declared, PyObject *sql)
{
    hn_description *description = PyMem_Calloc(1, sizeof *description);
    if (description == NULL)
        return (hn_description *)PyErr_NoMemory();
    if (codec->types != NULL && codec->types->count > TYPES_MAX)
        hn_codec_forget_types(codec);
    description->refs = 1;
    description->codec = codec;
    codec->refs++;
    description->sql = Py_XNewRef(sql);
    const uint8_t *at = out, *end = out + len, *part = NULL;
    size_t n = 0;
    if (next_part(&at, end, &part, &n) < 0 || read_parameters(description, part, n) < 0 ||
        take_declared(description, declared) < 0 || next_part(&at, end, &part, &n) < 0 ||
        hn_description_read_columns(description, part, n) < 0)
        goto failed;
    if (at < end) {
        if (next_part(&at, end, &part, &n) < 0)
            goto failed;
        if (n > 0 && (description->timezone = PyUnicode_DecodeUTF8(
                          (const char *)part, (Py_ssize_t)n, "replace")) == NULL)
            goto failed;
    }
    return description;
failed:
    hn_description_unref(description);
    return NULL;
}

/* An anonymous record is of types that only its values name. */
static size_t column_unknown(hn_codec *codec, uint32_t oid, uint32_t *oids, size_t n, size_t max)
{
    enum { RECORD = 2249, RECORDS = 2287 };
    for (size_t i = 0; (oid == RECORD || oid == RECORDS) && i < codec->nheard; i++)
        n = hn_type_unknown(codec, codec->heard[i], oids, n, max);
    return hn_type_unknown(codec, oid, oids, n, max);
}

size_t hn_description_unknown(hn_description *description, uint32_t *oids, size_t max)
{
    size_t n = 0;
    hn_codec_new_walk(description->codec);
    for (uint16_t i = 0; i < description->nparams; i++)
        n = hn_type_unknown(description->codec, description->params[i].oid, oids, n, max);
    for (uint16_t i = 0; i < description->ncolumns; i++)
        n = column_unknown(description->codec, description->columns[i].oid, oids, n, max);
    return n;
}

/* The row that every row starts as: all keys in order, None until a value is read. */
static int make_template(hn_description *description)
{
    description->empty_row = PyDict_New();
    if (description->empty_row == NULL)
        return -1;
    for (uint16_t i = 0; i < description->ncolumns; i++) {
        PyObject *name = description->columns[i].name;
        if (PyDict_SetItem(description->empty_row, name, Py_None) < 0)
            return -1;
    }
    description->has_duplicates = PyDict_GET_SIZE(description->empty_row) < description->ncolumns;
    return 0;
}

/* The names that several columns have, as a new list. */
static PyObject *duplicates(const hn_description *description)
{
    PyObject *seen = PySet_New(NULL), *twice = PyList_New(0);
    int rc = seen == NULL || twice == NULL ? -1 : 0;
    for (uint16_t i = 0; rc == 0 && i < description->ncolumns; i++) {
        PyObject *name = description->columns[i].name;
        int again = PySet_Contains(seen, name);
        int listed = again == 1 ? PySequence_Contains(twice, name) : 1;
        rc = again < 0 || listed < 0 ? -1 : PySet_Add(seen, name);
        if (rc == 0 && listed == 0)
            rc = PyList_Append(twice, name);
    }
    Py_XDECREF(seen);
    if (rc < 0)
        Py_CLEAR(twice);
    return twice;
}

int hn_description_makes_dicts(hn_description *description)
{
    if (!description->has_duplicates || description->logged_duplicates || description->sql == NULL)
        return 0;
    description->logged_duplicates = 1;
    PyObject *module = hn_errors_module();
    PyObject *twice = module == NULL ? NULL : duplicates(description);
    PyObject *none = NULL;
    if (twice != NULL)
        none = PyObject_CallMethod(module, "duplicate_columns", "OO", description->sql, twice);
    Py_XDECREF(twice);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* The beginning of a Bind body whose parameters are all binary, in the shortest form. */
static int make_parameter_formats(hn_description *description)
{
    hn_buf *b = &description->parameter_formats;
    b->len = 0;
    uint16_t formats = description->nparams > 0;
    if (hn_buf_u16(b, formats) < 0 || (formats == 1 && hn_buf_u16(b, 1) < 0))
        return -1;
    return hn_buf_u16(b, description->nparams);
}

/* The end of every Bind body: the format of each result column, in the shortest form. */
static int make_result_formats(hn_description *description)
{
    size_t binary = 0;
    for (uint16_t i = 0; i < description->ncolumns; i++)
        binary += description->columns[i].type->binary;
    hn_buf *b = &description->result_formats;
    b->len = 0;
    if (binary == 0)
        return hn_buf_u16(b, 0);
    if (binary == description->ncolumns)
        return hn_buf_u16(b, 1) < 0 ? -1 : hn_buf_u16(b, 1);
    if (hn_buf_u16(b, description->ncolumns) < 0)
        return -1;
    for (uint16_t i = 0; i < description->ncolumns; i++)
        if (hn_buf_u16(b, description->columns[i].type->binary) < 0)
            return -1;
    return 0;
}

int hn_description_is_stale(const hn_description *description)
{
    return description->generation != description->codec->generation;
}

int hn_description_resolve(hn_description *description)
{
    description->generation = description->codec->generation;
    description->settings = 0;
    for (uint16_t i = 0; i < description->nparams; i++) {
        hn_param *param = &description->params[i];
        if ((param->type = hn_type_linked(description->codec, param->oid)) == NULL)
            return -1;
        param->is_open = param->declared != 0 || hn_is_open_type(param->type);
    }
    for (uint16_t i = 0; i < description->ncolumns; i++) {
        hn_column *column = &description->columns[i];
        if ((column->type = hn_type_linked(description->codec, column->oid)) == NULL)
            return -1;
        column->read = column->type->read;
        if (!column->type->binary && column->type->loads == NULL)
            description->settings |= column->type->settings;
        column->family = column->type->binary ? column->type->family : HN_FAMILY_SERVER_TEXT;
    }
    hn_type_set_unref(description->codec, description->types);
    description->types = hn_type_set_ref(description->codec);
    if (description->empty_row == NULL && make_template(description) < 0)
        return -1;
    return make_parameter_formats(description) < 0 ? -1 : make_result_formats(description);
}

bool hn_description_comes_as(const hn_description *description, const hn_description *other)
{
    const hn_buf *a = &description->result_formats, *b = &other->result_formats;
    if (description->ncolumns != other->ncolumns || a->len != b->len ||
        memcmp(a->data, b->data, a->len) != 0)
        return false;
    for (uint16_t i = 0; i < description->ncolumns; i++)
        if (description->columns[i].oid != other->columns[i].oid)
            return false;
    return true;
}

hn_codec *hn_description_codec(const hn_description *description)
{
    return description->codec;
}

int hn_description_takes_rows(const hn_description *description)
{
    for (uint16_t i = 0; i < description->nparams; i++)
        if (description->params[i].type != NULL && description->params[i].type->holds_rows)
            return 1;
    return 0;
}

size_t hn_description_tables(const hn_description *description, uint32_t *oids, size_t max)
{
    size_t n = 0;
    for (uint16_t i = 0; i < description->ncolumns && n < max; i++) {
        size_t at = 0;
        while (at < n && oids[at] != description->columns[i].table)
            at++;
        if (at == n && description->columns[i].table != 0)
            oids[n++] = description->columns[i].table;
    }
    return n;
}

void hn_description_set_domains(hn_description *description, const uint8_t *rows, size_t len)
{
    uint32_t row[3];
    for (size_t n = len / sizeof row; n > 0; n--, rows += sizeof row) {
        memcpy(row, rows, sizeof row); /* host order: the core wrote it */
        for (uint16_t i = 0; i < description->ncolumns; i++)
            if (description->columns[i].table == row[0] && description->columns[i].number == row[1])
                description->columns[i].oid = row[2];
    }
}

void hn_description_ref(hn_description *description)
{
    description->refs++;
}

void hn_description_unref(hn_description *description)
{
    if (description == NULL || --description->refs > 0)
        return;
    for (uint16_t i = 0; description->columns != NULL && i < description->ncolumns; i++)
        Py_XDECREF(description->columns[i].name);
    PyMem_Free(description->columns);
    PyMem_Free(description->params);
    hn_buf_free(&description->parameter_formats);
    hn_buf_free(&description->result_formats);
    hn_declared_free(&description->declared);
    Py_XDECREF(description->sql);
    Py_XDECREF(description->timezone);
    Py_XDECREF(description->empty_row);
    Py_XDECREF(description->as_columns);
    Py_XDECREF(description->makers);
    hn_type_set_unref(description->codec, description->types);
    hn_codec_free(description->codec);
    PyMem_Free(description);
}

bool hn_description_comes_binary(const hn_description *description)
{
    for (uint16_t i = 0; i < description->ncolumns; i++) {
        const hn_column *column = &description->columns[i];
        if (column->type->binary && column->type->loads == NULL)
            continue;
        hn_raise(
            "NotSupportedError",
            "column \"%U\" of type %U is not read from a binary COPY; cast it to text in a query, "
            "or use stream() or copy_out_raw()",
            column->name, column->type->name);
        return false;
    }
    return true;
}

bool hn_description_is_open(const hn_description *description)
{
    for (uint16_t i = 0; i < description->nparams; i++)
        if (description->params[i].is_open)
            return true;
    return false;
}

const hn_declared *hn_description_declared(const hn_description *description)
{
    return &description->declared;
}

uint16_t hn_description_nparams(const hn_description *description)
{
    return description->nparams;
}

uint16_t hn_description_ncolumns(const hn_description *description)
{
    return description->ncolumns;
}

uint32_t hn_description_settings(const hn_description *description)
{
    return description->settings;
}

PyObject *hn_description_timezone(const hn_description *description)
{
    return description->timezone;
}

int hn_declared_types(const hn_description *description, PyObject *params, hn_declared *declared)
{
    /* A copy unless it is a tuple: what a value's class does may change a list under us. */
    PyObject *values = PySequence_Tuple(params);
    if (values == NULL || hn_declared_reserve(declared, description->nparams) < 0) {
        Py_XDECREF(values);
        return -1;
    }
    int rc = 0;
    bool is_any = false;
    if (PyTuple_GET_SIZE(values) != description->nparams) { /* which hn_encode refuses */
        rc = hn_declared_copy(declared, &description->declared);
        goto done;
    }
    for (uint16_t i = 0; i < description->nparams; i++) {
        PyObject *value = PyTuple_GET_ITEM(values, i);
        const hn_param *param = &description->params[i];
        if (!param->is_open)
            continue;
        if (value != Py_None && hn_own_type(value, &declared->oids[i]) < 0) {
            rc = -1;
            goto done;
        }
        is_any = is_any || declared->oids[i] != 0;
    }
    if (!is_any)
        hn_declared_clear(declared);
    rc = !hn_declared_equal(declared, &description->declared);
done:
    Py_DECREF(values);
    return rc;
}
