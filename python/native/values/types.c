/* A codec's types, taken from the built-in table or from the server's catalog. */
#include "values/types.h"

#include "error.h"
#include "hypern_types.h"

typedef struct {
    uint32_t oid, array_oid;
    const char *name;
    hn_family family;
    uint32_t related_oid;
    char delimiter;
} builtin_type;

static const builtin_type builtin_types[] = {
#define X(oid, array_oid, name, family, related, delimiter)                                        \
    {oid, array_oid, name, HN_FAMILY_##family, related, delimiter},
    HN_BUILTIN_TYPES(X)
#undef X
};
#define NBUILTIN (sizeof builtin_types / sizeof builtin_types[0])

static const struct {
    const char *name;
    uint8_t binary;
} families[] = {
#define X(family, name, binary, read, read_text, write, write_text) {#name, binary},
    HN_FAMILIES(X)
#undef X
};

/* Registered by init.c: this file does not depend on those that convert. */
static const hn_converters *converters; /* by family */

void hn_types_init(const hn_converters *by_family)
{
    converters = by_family;
}

/* The slot where the type of this OID is, or belongs. The table always has free slots. */
static hn_type **slot_of(const hn_codec *codec, uint32_t oid)
{
    size_t i = (size_t)(oid * 2654435769u) & (codec->nslots - 1);
    while (codec->slots[i] != NULL && codec->slots[i]->oid != oid)
        i = (i + 1) & (codec->nslots - 1);
    return &codec->slots[i];
}

hn_codec *hn_codec_new(PyObject *json_loads, PyObject *json_dumps, int infinity_minmax)
{
    hn_codec *codec = PyMem_Calloc(1, sizeof *codec);
    if (codec == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    codec->refs = 1;
    codec->walk = 1; /* no walk has visited a new type */
    codec->nslots = 64;
    codec->slots = PyMem_Calloc(codec->nslots, sizeof *codec->slots);
    codec->registered = PyDict_New();
    if (codec->slots == NULL || codec->registered == NULL) {
        hn_codec_free(codec);
        return PyErr_Occurred() ? NULL : (hn_codec *)PyErr_NoMemory();
    }
    codec->json_loads = json_loads == Py_None ? NULL : Py_XNewRef(json_loads);
    codec->json_dumps = json_dumps == Py_None ? NULL : Py_XNewRef(json_dumps);
    codec->infinity_minmax = infinity_minmax;
    return codec;
}

hn_codec *hn_codec_like(const hn_codec *codec)
{
    hn_codec *other = hn_codec_new(codec->json_loads, codec->json_dumps, codec->infinity_minmax);
    if (other != NULL)
        Py_SETREF(other->registered, Py_NewRef(codec->registered));
    return other;
}

int hn_codec_hear(hn_codec *codec, const hn_codec *earlier)
{
    codec->heard = PyMem_Calloc(earlier->nused + earlier->nheard + 1, sizeof *codec->heard);
    if (codec->heard == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < earlier->nslots; i++)
        if (earlier->slots[i] != NULL && !earlier->slots[i]->undescribed)
            codec->heard[codec->nheard++] = earlier->slots[i]->oid;
    for (size_t i = 0; i < earlier->nheard; i++)
        if (*slot_of(earlier, earlier->heard[i]) == NULL)
            codec->heard[codec->nheard++] = earlier->heard[i];
    return 0;
}

void hn_codec_free(hn_codec *codec)
{
    if (codec == NULL || --codec->refs > 0)
        return;
    hn_type_set_unref(codec, codec->types);
    PyMem_Free(codec->slots);
    PyMem_Free(codec->heard);
    Py_XDECREF(codec->registered);
    Py_XDECREF(codec->json_loads);
    Py_XDECREF(codec->json_dumps);
    PyMem_Free(codec);
}

int hn_codec_traverse(const hn_codec *codec, visitproc visit, void *arg)
{
    Py_VISIT(codec->json_loads);
    Py_VISIT(codec->json_dumps);
    Py_VISIT(codec->registered);
    for (const hn_type_set *set = codec->sets; set != NULL; set = set->next) {
        for (const hn_type *type = set->first; type != NULL; type = type->next) {
            Py_VISIT(type->loads);
            Py_VISIT(type->dumps);
        }
    }
    return 0;
}

void hn_codec_clear(hn_codec *codec)
{
    Py_CLEAR(codec->json_loads);
    Py_CLEAR(codec->json_dumps);
    PyDict_Clear(codec->registered);
    hn_codec_forget_types(codec);
}

hn_type_set *hn_type_set_ref(const hn_codec *codec)
{
    if (codec->types != NULL)
        codec->types->refs++;
    return codec->types;
}

void hn_type_set_unref(hn_codec *codec, hn_type_set *set)
{
    if (set == NULL || --set->refs > 0)
        return;
    hn_type_set **link = &codec->sets;
    while (*link != set)
        link = &(*link)->next;
    *link = set->next; /* first: releasing a converter may run Python code */
    while (set->first != NULL) {
        hn_type *type = set->first;
        set->first = type->next;
        for (uint16_t i = 0; i < type->nfields; i++)
            Py_XDECREF(type->fields[i].name);
        PyMem_Free(type->fields);
        Py_XDECREF(type->name);
        Py_XDECREF(type->loads);
        Py_XDECREF(type->dumps);
        PyMem_Free(type);
    }
    PyMem_Free(set);
}

/* The set that a new type goes into. */
static hn_type_set *set_of(hn_codec *codec)
{
    if (codec->types != NULL)
        return codec->types;
    hn_type_set *set = PyMem_Calloc(1, sizeof *set);
    if (set == NULL)
        return (hn_type_set *)PyErr_NoMemory();
    set->refs = 1;
    set->next = codec->sets;
    return codec->types = codec->sets = set;
}

static int make_room(hn_codec *codec)
{
    if ((codec->nused + 1) * 2 <= codec->nslots)
        return 0;
    hn_type **old = codec->slots;
    size_t nold = codec->nslots;
    hn_type **slots = PyMem_Calloc(nold * 2, sizeof *slots);
    if (slots == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    codec->slots = slots;
    codec->nslots = nold * 2;
    for (size_t i = 0; i < nold; i++)
        if (old[i] != NULL)
            *slot_of(codec, old[i]->oid) = old[i];
    PyMem_Free(old);
    return 0;
}

/* Settings that the text readers depend on. They read intervals of any IntervalStyle. */
static uint16_t settings_of(hn_family family)
{
    switch (family) {
    case HN_FAMILY_DATE:
    case HN_FAMILY_TIMESTAMP:
    case HN_FAMILY_TIMESTAMPTZ:
        return HN_IN_ISO;
    case HN_FAMILY_FLOAT4:
    case HN_FAMILY_FLOAT8:
        return HN_IN_DIGITS;
    default:
        return 0;
    }
}

void hn_type_set_family(hn_type *type, hn_family family)
{
    type->settings = settings_of(family);
    type->family = family;
    type->binary = type->sends_binary = families[family].binary;
    type->read_text = converters[family].read_text;
    type->read = type->binary ? converters[family].read : type->read_text;
    type->write = converters[family].write;
    type->write_text = converters[family].write_text;
}

hn_type *hn_type_add(hn_codec *codec, uint32_t oid, hn_family family, PyObject *name)
{
    hn_type_set *set = name == NULL || make_room(codec) < 0 ? NULL : set_of(codec);
    if (set == NULL)
        return NULL;
    hn_type *type = PyMem_Calloc(1, sizeof *type);
    if (type == NULL)
        return (hn_type *)PyErr_NoMemory();
    type->codec = codec;
    type->oid = oid;
    type->delimiter = ',';
    type->name = Py_NewRef(name);
    hn_type_set_family(type, family);
    hn_type **slot = slot_of(codec, oid);
    if (*slot == NULL)
        codec->nused++;
    *slot = type;
    type->next = set->first;
    set->first = type;
    set->count++;
    return type;
}

static PyObject *read_registered(const hn_type *type, const uint8_t *data, size_t len)
{
    PyObject *text = converters[HN_FAMILY_SERVER_TEXT].read_text(type, data, len);
    if (text == NULL)
        return NULL;
    PyObject *value = PyObject_CallOneArg(type->loads, text);
    Py_DECREF(text);
    return value;
}

/* hn_write_text calls the user's dumps. */
static int write_registered(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out)
{
    (void)encoder, (void)type, (void)value, (void)out;
    return HN_AS_TEXT;
}

int hn_type_apply_registered(hn_type *type, const char *schema)
{
    if (schema == NULL)
        return -1;
    PyObject *qualified = PyUnicode_FromFormat("%s.%U", schema, type->name);
    if (qualified == NULL)
        return -1;
    PyObject *pair = PyDict_GetItemWithError(type->codec->registered, qualified);
    Py_DECREF(qualified);
    if (pair == NULL && !PyErr_Occurred())
        pair = PyDict_GetItemWithError(type->codec->registered, type->name);
    if (pair == NULL)
        return PyErr_Occurred() ? -1 : 0;
    PyObject *loads = PyTuple_GET_ITEM(pair, 0), *dumps = PyTuple_GET_ITEM(pair, 1);
    type->loads = loads == Py_None ? NULL : Py_NewRef(loads);
    type->dumps = dumps == Py_None ? NULL : Py_NewRef(dumps);
    if (type->loads != NULL) {
        type->binary = 0;
        type->read = type->read_text = read_registered;
    }
    if (type->dumps != NULL) {
        type->sends_binary = 0;
        type->write = write_registered;
    }
    return 0;
}

bool hn_codec_has_registered(const hn_codec *codec)
{
    return PyDict_GET_SIZE(codec->registered) > 0;
}

int hn_codec_register(hn_codec *codec, const char *type_name, PyObject *loads, PyObject *dumps)
{
    PyObject *pair =
        PyTuple_Pack(2, loads == NULL ? Py_None : loads, dumps == NULL ? Py_None : dumps);
    if (pair == NULL)
        return -1;
    int rc = PyDict_SetItemString(codec->registered, type_name, pair);
    Py_DECREF(pair);
    if (rc == 0)
        hn_codec_forget_types(codec);
    return rc;
}

static hn_type *add_builtin(hn_codec *codec, uint32_t oid, const builtin_type *row)
{
    int is_array = oid != row->oid;
    PyObject *name = PyUnicode_FromFormat(is_array ? "_%s" : "%s", row->name);
    hn_type *type = hn_type_add(codec, oid, is_array ? HN_FAMILY_ARRAY : row->family, name);
    Py_XDECREF(name);
    if (type == NULL)
        return NULL;
    type->related_oid = is_array ? row->oid : row->related_oid;
    type->delimiter = row->delimiter;
    return hn_type_apply_registered(type, "pg_catalog") < 0 ? NULL : type;
}

hn_type *hn_type_known(hn_codec *codec, uint32_t oid)
{
    hn_type *type = *slot_of(codec, oid);
    if (type != NULL || oid == 0)
        return type;
    for (size_t i = 0; i < NBUILTIN; i++)
        if (builtin_types[i].oid == oid || builtin_types[i].array_oid == oid)
            return add_builtin(codec, oid, &builtin_types[i]);
    return NULL;
}

void hn_codec_forget_types(hn_codec *codec)
{
    memset(codec->slots, 0, codec->nslots * sizeof *codec->slots);
    codec->nused = 0;
    codec->generation++;
    hn_type_set *set = codec->types;
    codec->types = NULL;
    hn_type_set_unref(codec, set);
}

PyObject *hn_builtin_types(void)
{
    PyObject *rows = PyList_New((Py_ssize_t)NBUILTIN);
    for (size_t i = 0; rows != NULL && i < NBUILTIN; i++) {
        const builtin_type *t = &builtin_types[i];
        PyObject *row = Py_BuildValue("(kssk)", (unsigned long)t->oid, t->name,
                                      families[t->family].name, (unsigned long)t->array_oid);
        if (row == NULL)
            Py_CLEAR(rows);
        else
            PyList_SET_ITEM(rows, (Py_ssize_t)i, row);
    }
    return rows;
}
