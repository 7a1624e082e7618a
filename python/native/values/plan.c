/* A plan: one statement's description with the converters chosen for it. */
#include "values/plan.h"

#include "error.h"

/* Beyond these a codec begins anew, between two plans: each temporary table that a statement reads
 * whole rows of has a type of its own. */
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

static int read_parameters(hn_plan *plan, const uint8_t *at, size_t len)
{
    if (len == 0)
        return 0;
    if (len < 2 || len != 2 + 4 * (size_t)hn_get_u16(at))
        return hn_raise("InterfaceError",
                        "ParameterDescription does not have the length it announces");
    plan->nparams = hn_get_u16(at);
    plan->params = PyMem_Calloc(plan->nparams + 1u, sizeof *plan->params);
    if (plan->params == NULL)
        return PyErr_NoMemory(), -1;
    for (uint16_t i = 0; i < plan->nparams; i++)
        plan->params[i].oid = hn_get_u32(at + 2 + 4 * (size_t)i);
    return 0;
}

/* RowDescription: per column a name, then 18 bytes of which we want the type. */
int hn_plan_read_columns(hn_plan *plan, const uint8_t *at, size_t len)
{
    if (len == 0)
        return 0;
    const uint8_t *end = at + len;
    if (len < 2)
        goto lies;
    plan->ncolumns = hn_get_u16(at);
    at += 2;
    plan->columns = PyMem_Calloc(plan->ncolumns + 1u, sizeof *plan->columns);
    if (plan->columns == NULL)
        return PyErr_NoMemory(), -1;
    for (uint16_t i = 0; i < plan->ncolumns; i++) {
        const uint8_t *nul = memchr(at, 0, (size_t)(end - at));
        if (nul == NULL || end - nul < 19)
            goto lies;
        PyObject *name = PyUnicode_DecodeUTF8((const char *)at, nul - at, "replace");
        if (name == NULL)
            return -1;
        PyUnicode_InternInPlace(&name);
        plan->columns[i].name = name;
        plan->columns[i].table = hn_get_u32(nul + 1);
        plan->columns[i].number = hn_get_u16(nul + 5);
        plan->columns[i].oid = hn_get_u32(nul + 7);
        at = nul + 19;
    }
    if (at == end)
        return 0;
lies:
    return hn_raise("InterfaceError", "RowDescription does not have the length it announces");
}

/* Fewer parameters than are declared: the server has other ones in mind. */
static int take_declared(hn_plan *plan, const hn_declared *declared)
{
    if (declared == NULL || declared->n == 0)
        return 0;
    for (size_t i = 0; i < declared->n && i < plan->nparams; i++)
        plan->params[i].declared = declared->oids[i];
    return hn_declared_copy(&plan->declared, declared);
}

hn_plan *hn_plan_new(hn_codec *codec, const uint8_t *out, size_t len, const hn_declared *declared,
                     PyObject *sql)
{
    hn_plan *plan = PyMem_Calloc(1, sizeof *plan);
    if (plan == NULL)
        return (hn_plan *)PyErr_NoMemory();
    if (codec->types != NULL && codec->types->count > TYPES_MAX)
        hn_codec_forget_types(codec);
    plan->refs = 1;
    plan->codec = codec;
    codec->refs++;
    plan->sql = Py_XNewRef(sql);
    const uint8_t *at = out, *end = out + len, *part = NULL;
    size_t n = 0;
    if (next_part(&at, end, &part, &n) < 0 || read_parameters(plan, part, n) < 0 ||
        take_declared(plan, declared) < 0 ||
        next_part(&at, end, &part, &n) < 0 || hn_plan_read_columns(plan, part, n) < 0)
        goto failed;
    if (at < end) {
        if (next_part(&at, end, &part, &n) < 0)
            goto failed;
        if (n > 0 && (plan->timezone = PyUnicode_DecodeUTF8((const char *)part, (Py_ssize_t)n,
                                                            "replace")) == NULL)
            goto failed;
    }
    return plan;
failed:
    hn_plan_unref(plan);
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

size_t hn_plan_unknown(hn_plan *plan, uint32_t *oids, size_t max)
{
    size_t n = 0;
    hn_codec_new_walk(plan->codec);
    for (uint16_t i = 0; i < plan->nparams; i++)
        n = hn_type_unknown(plan->codec, plan->params[i].oid, oids, n, max);
    for (uint16_t i = 0; i < plan->ncolumns; i++)
        n = column_unknown(plan->codec, plan->columns[i].oid, oids, n, max);
    return n;
}

/* The row that every row starts as: all keys in order, None until a value is read. */
static int make_template(hn_plan *plan)
{
    PyObject *twice = NULL;
    plan->empty_row = PyDict_New();
    if (plan->empty_row == NULL)
        return -1;
    for (uint16_t i = 0; i < plan->ncolumns; i++) {
        PyObject *name = plan->columns[i].name;
        int seen = PyDict_Contains(plan->empty_row, name);
        if (seen < 0 || PyDict_SetItem(plan->empty_row, name, Py_None) < 0)
            goto failed;
        if (seen == 0)
            continue;
        plan->has_duplicates = 1;
        if (twice == NULL && (twice = PyList_New(0)) == NULL)
            goto failed;
        int listed = PySequence_Contains(twice, name);
        if (listed < 0 || (listed == 0 && PyList_Append(twice, name) < 0))
            goto failed;
    }
    if (twice != NULL && plan->sql != NULL) {
        PyObject *module = hn_errors_module();
        PyObject *none = module == NULL ? NULL
                                        : PyObject_CallMethod(module, "duplicate_columns", "OO",
                                                              plan->sql, twice);
        if (none == NULL)
            goto failed;
        Py_DECREF(none);
    }
    Py_XDECREF(twice);
    return 0;
failed:
    Py_XDECREF(twice);
    return -1;
}

/* The beginning of a Bind body whose parameters are all binary, in the shortest form. */
static int make_parameter_formats(hn_plan *plan)
{
    hn_buf *b = &plan->parameter_formats;
    b->len = 0;
    uint16_t formats = plan->nparams > 0;
    if (hn_buf_u16(b, formats) < 0 || (formats == 1 && hn_buf_u16(b, 1) < 0))
        return -1;
    return hn_buf_u16(b, plan->nparams);
}

/* The end of every Bind body: the format of each result column, in the shortest form. */
static int make_result_formats(hn_plan *plan)
{
    size_t binary = 0;
    for (uint16_t i = 0; i < plan->ncolumns; i++)
        binary += plan->columns[i].type->binary;
    hn_buf *b = &plan->result_formats;
    b->len = 0;
    if (binary == 0)
        return hn_buf_u16(b, 0);
    if (binary == plan->ncolumns)
        return hn_buf_u16(b, 1) < 0 ? -1 : hn_buf_u16(b, 1);
    if (hn_buf_u16(b, plan->ncolumns) < 0)
        return -1;
    for (uint16_t i = 0; i < plan->ncolumns; i++)
        if (hn_buf_u16(b, plan->columns[i].type->binary) < 0)
            return -1;
    return 0;
}

int hn_plan_is_stale(const hn_plan *plan)
{
    return plan->generation != plan->codec->generation;
}

int hn_plan_resolve(hn_plan *plan)
{
    plan->generation = plan->codec->generation;
    plan->settings = 0;
    for (uint16_t i = 0; i < plan->nparams; i++) {
        hn_param *param = &plan->params[i];
        if ((param->type = hn_type_linked(plan->codec, param->oid)) == NULL)
            return -1;
        param->is_open = param->declared != 0 || hn_is_open_type(param->type);
    }
    for (uint16_t i = 0; i < plan->ncolumns; i++) {
        hn_column *column = &plan->columns[i];
        if ((column->type = hn_type_linked(plan->codec, column->oid)) == NULL)
            return -1;
        column->read = column->type->read;
        if (!column->type->binary && column->type->loads == NULL)
            plan->settings |= column->type->settings;
        column->family = column->type->binary ? column->type->family : HN_FAMILY_SERVER_TEXT;
    }
    hn_type_set_unref(plan->codec, plan->types);
    plan->types = hn_type_set_ref(plan->codec);
    if (plan->empty_row == NULL && make_template(plan) < 0)
        return -1;
    return make_parameter_formats(plan) < 0 ? -1 : make_result_formats(plan);
}

bool hn_plan_comes_as(const hn_plan *plan, const hn_plan *other)
{
    const hn_buf *a = &plan->result_formats, *b = &other->result_formats;
    if (plan->ncolumns != other->ncolumns || a->len != b->len || memcmp(a->data, b->data, a->len) != 0)
        return false;
    for (uint16_t i = 0; i < plan->ncolumns; i++)
        if (plan->columns[i].oid != other->columns[i].oid)
            return false;
    return true;
}

hn_codec *hn_plan_codec(const hn_plan *plan)
{
    return plan->codec;
}

int hn_plan_takes_rows(const hn_plan *plan)
{
    for (uint16_t i = 0; i < plan->nparams; i++)
        if (plan->params[i].type != NULL && plan->params[i].type->holds_rows)
            return 1;
    return 0;
}

size_t hn_plan_tables(const hn_plan *plan, uint32_t *oids, size_t max)
{
    size_t n = 0;
    if (!hn_codec_has_registered(plan->codec))
        return 0;
    for (uint16_t i = 0; i < plan->ncolumns && n < max; i++) {
        size_t at = 0;
        while (at < n && oids[at] != plan->columns[i].table)
            at++;
        if (at == n && plan->columns[i].table != 0)
            oids[n++] = plan->columns[i].table;
    }
    return n;
}

void hn_plan_set_domains(hn_plan *plan, const uint8_t *rows, size_t len)
{
    uint32_t row[3];
    for (const uint8_t *at = rows; (size_t)(rows + len - at) >= sizeof row; at += sizeof row) {
        memcpy(row, at, sizeof row); /* host order: the core wrote it */
        for (uint16_t i = 0; i < plan->ncolumns; i++)
            if (plan->columns[i].table == row[0] && plan->columns[i].number == row[1])
                plan->columns[i].oid = row[2];
    }
}

void hn_plan_ref(hn_plan *plan)
{
    plan->refs++;
}

void hn_plan_unref(hn_plan *plan)
{
    if (plan == NULL || --plan->refs > 0)
        return;
    for (uint16_t i = 0; plan->columns != NULL && i < plan->ncolumns; i++)
        Py_XDECREF(plan->columns[i].name);
    PyMem_Free(plan->columns);
    PyMem_Free(plan->params);
    hn_buf_free(&plan->parameter_formats);
    hn_buf_free(&plan->result_formats);
    hn_declared_free(&plan->declared);
    Py_XDECREF(plan->sql);
    Py_XDECREF(plan->timezone);
    Py_XDECREF(plan->empty_row);
    hn_type_set_unref(plan->codec, plan->types);
    hn_codec_free(plan->codec);
    PyMem_Free(plan);
}

bool hn_plan_is_open(const hn_plan *plan)
{
    for (uint16_t i = 0; i < plan->nparams; i++)
        if (plan->params[i].is_open)
            return true;
    return false;
}

const hn_declared *hn_plan_declared(const hn_plan *plan)
{
    return &plan->declared;
}

uint16_t hn_plan_nparams(const hn_plan *plan)
{
    return plan->nparams;
}

uint16_t hn_plan_ncolumns(const hn_plan *plan)
{
    return plan->ncolumns;
}

uint32_t hn_plan_settings(const hn_plan *plan)
{
    return plan->settings;
}

PyObject *hn_plan_timezone(const hn_plan *plan)
{
    return plan->timezone;
}
