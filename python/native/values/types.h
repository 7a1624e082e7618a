/* PostgreSQL types as the converters see them: families, a codec's types, reading and writing.
 *
 * A type belongs to one codec; it lives until the codec has dropped it and no description points to
 * it. A family is a set of types with the same wire format and the same Python values: its row
 * names its converters.
 *
 * A reader turns one value's bytes, exactly `len` of them, into a new object, or raises. A writer
 * appends one value's bytes, no length word, and returns HN_WRITTEN or one of the others below;
 * what it has appended counts only after HN_WRITTEN. Readers and writers never see NULL.
 */
#ifndef HN_TYPES_H
#define HN_TYPES_H

#include "buf.h"
#include "values/codec.h"

typedef struct hn_type hn_type;
typedef struct hn_encoder hn_encoder;

typedef PyObject *(*hn_reader)(const hn_type *type, const uint8_t *data, size_t len);
typedef int (*hn_writer)(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out);

/* What a writer returns, besides -1 with an exception and HN_NEED_TZ. */
enum {
    HN_WRITTEN = 0,
    HN_AS_TEXT = 2, /* the server must parse this value: hn_write_text */
    HN_NO_FIT = 3   /* this type takes no value of this Python type */
};

/* X(family, name, binary, binary reader, text reader, writer, text writer). binary: values travel
 * in binary format, a container's if its parts' do. A writer writes binary or returns HN_AS_TEXT; a
 * text writer is called for values that the writer takes, and never for a str. */
#define HN_FAMILIES(X)                                                                             \
    X(BOOL, bool, 1, hn_read_bool, hn_read_bool_text, hn_write_bool, hn_write_plain_text)          \
    X(INT2, int2, 1, hn_read_int2, hn_read_int_text, hn_write_int2, hn_write_plain_text)           \
    X(INT4, int4, 1, hn_read_int4, hn_read_int_text, hn_write_int4, hn_write_plain_text)           \
    X(INT8, int8, 1, hn_read_int8, hn_read_int_text, hn_write_int8, hn_write_plain_text)           \
    X(OID, oid, 1, hn_read_oid, hn_read_int_text, hn_write_oid, hn_write_plain_text)               \
    X(XID8, xid8, 1, hn_read_xid8, hn_read_int_text, hn_write_xid8, hn_write_plain_text)           \
    X(FLOAT4, float4, 1, hn_read_float4, hn_read_float4_text, hn_write_float4,                     \
      hn_write_plain_text)                                                                         \
    X(FLOAT8, float8, 1, hn_read_float8, hn_read_float8_text, hn_write_float8,                     \
      hn_write_plain_text)                                                                         \
    X(NUMERIC, numeric, 1, hn_read_numeric, hn_read_numeric_text, hn_write_numeric,                \
      hn_write_plain_text)                                                                         \
    X(MONEY, money, 0, hn_read_text, hn_read_text, hn_write_money, hn_write_plain_text)            \
    X(TEXT, text, 1, hn_read_text, hn_read_text, hn_write_text_type, hn_write_text_type)           \
    X(CHAR, char, 0, hn_read_text, hn_read_text, hn_write_char, hn_write_server_text)              \
    X(ENUM, enum, 1, hn_read_text, hn_read_text, hn_write_server_text, hn_write_server_text)       \
    X(SERVER_TEXT, server_text, 0, hn_read_text, hn_read_text, hn_write_server_text,               \
      hn_write_server_text)                                                                        \
    X(REG, reg, 0, hn_read_text, hn_read_text, hn_write_reg, hn_write_plain_text)                  \
    X(BYTEA, bytea, 1, hn_read_bytea, hn_read_bytea_text, hn_write_bytea, hn_write_bytea_text)     \
    X(DATE, date, 1, hn_read_date, hn_read_date_text, hn_write_date, hn_write_date_text)           \
    X(TIME, time, 1, hn_read_time, hn_read_time_text, hn_write_time, hn_write_plain_text)          \
    X(TIMETZ, timetz, 1, hn_read_timetz, hn_read_timetz_text, hn_write_timetz,                     \
      hn_write_plain_text)                                                                         \
    X(TIMESTAMP, timestamp, 1, hn_read_timestamp, hn_read_timestamp_text, hn_write_timestamp,      \
      hn_write_timestamp_text)                                                                     \
    X(TIMESTAMPTZ, timestamptz, 1, hn_read_timestamptz, hn_read_timestamptz_text,                  \
      hn_write_timestamptz, hn_write_timestamptz_text)                                             \
    X(INTERVAL, interval, 1, hn_read_interval, hn_read_interval_text, hn_write_interval,           \
      hn_write_plain_text)                                                                         \
    X(UUID, uuid, 1, hn_read_uuid, hn_read_uuid_text, hn_write_uuid, hn_write_uuid_text)           \
    X(JSON, json, 1, hn_read_json, hn_read_json, hn_write_json, hn_write_json)                     \
    X(JSONB, jsonb, 1, hn_read_jsonb, hn_read_json, hn_write_jsonb, hn_write_json)                 \
    X(INET, inet, 1, hn_read_inet, hn_read_inet_text, hn_write_inet, hn_write_plain_text)          \
    X(CIDR, cidr, 1, hn_read_inet, hn_read_inet_text, hn_write_cidr, hn_write_plain_text)          \
    X(ARRAY, array, 1, hn_read_array, hn_read_array_text, hn_write_array, hn_write_array_text)     \
    X(VECTOR, vector, 1, hn_read_array, hn_read_vector_text, hn_write_array, hn_write_vector_text) \
    X(RANGE, range, 1, hn_read_range, hn_read_range_text, hn_write_range, hn_write_range_text)     \
    X(MULTIRANGE, multirange, 1, hn_read_multirange, hn_read_multirange_text, hn_write_multirange, \
      hn_write_multirange_text)                                                                    \
    X(RECORD, record, 1, hn_read_record, hn_read_text, hn_write_server_text, hn_write_server_text) \
    X(COMPOSITE, composite, 1, hn_read_composite, hn_read_composite_text, hn_write_composite,      \
      hn_write_composite_text)                                                                     \
    X(HSTORE, hstore, 1, hn_read_hstore, hn_read_hstore_text, hn_write_hstore,                     \
      hn_write_hstore_text)                                                                        \
    X(DOMAIN, domain, 0, hn_read_text, hn_read_text, hn_write_server_text, hn_write_server_text)

#define X(family, name, binary, read, read_text, write, write_text)                                \
    PyObject *read(const hn_type *type, const uint8_t *data, size_t len);                          \
    PyObject *read_text(const hn_type *type, const uint8_t *data, size_t len);                     \
    int write(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out);             \
    int write_text(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out);
HN_FAMILIES(X)
#undef X

typedef enum hn_family {
#define X(family, name, binary, read, read_text, write, write_text) HN_FAMILY_##family,
    HN_FAMILIES(X)
#undef X
} hn_family;

typedef struct hn_converters {
    hn_reader read, read_text;
    hn_writer write, write_text;
} hn_converters;

/* Registers the converters of each family, and those of a domain for which the user has registered
 * a converter: they call those of its base type. Once, before there is a type. */
void hn_types_init(const hn_converters *by_family);
void hn_links_init(const hn_converters *of_domains);
extern const hn_converters hn_domain_converters; /* domain.c */

/* A column of a composite type. */
typedef struct hn_field {
    PyObject *name; /* interned str */
    uint32_t oid;
    const hn_type *type; /* set by hn_type_link */
} hn_field;

struct hn_type {
    hn_codec *codec;
    uint32_t oid, array_oid, related_oid;
    uint64_t walk; /* the latest walk that came here: each type is visited once in a walk */
    hn_family family;
    char delimiter;  /* between values of this type in an array's text */
    uint8_t linked;  /* related and fields point to types, the two below are decided */
    uint8_t linking; /* guards against a type that contains itself, as a hostile server may describe
                        it */
    uint8_t undescribed;  /* the server has no such type */
    uint8_t holds_rows;   /* a composite, or made of composites */
    uint8_t binary;       /* results of this type come in binary format, parts included */
    uint8_t sends_binary; /* the server takes this type in binary format, parts included */
    uint16_t settings;    /* HN_IN_ISO, HN_IN_DIGITS: what its text depends on, parts included */
    PyObject *name;       /* str */
    hn_reader read, read_text;
    hn_writer write, write_text;
    const hn_type *related;
    hn_field *fields;
    uint16_t nfields;
    PyObject *loads, *dumps; /* the user's own converters, or NULL */
    hn_type *next;           /* of the same set */
};

/* The types of one generation of the codec, superseded ones too: they point to each other, and are
 * freed together. */
typedef struct hn_type_set {
    size_t refs; /* the codec's, and one for each description that points to them */
    hn_type *first;
    size_t count;
    struct hn_type_set *next;
} hn_type_set;

struct hn_codec {
    size_t refs;     /* the Pool's and each description's */
    hn_type **slots; /* open addressing by OID; nslots is a power of two */
    size_t nslots, nused;
    hn_type_set *types;  /* of this generation, or NULL */
    hn_type_set *sets;   /* that one and those that descriptions still point to */
    uint64_t generation; /* grows when types are forgotten */
    uint64_t walk;       /* the number of the latest walk by hn_type_unknown */
    uint32_t *heard; /* OIDs that an earlier codec of the Pool had: a record may hold such a type */
    size_t nheard;
    PyObject *json_loads, *json_dumps; /* NULL for the codec's own reader and writer */
    int infinity_minmax;
    PyObject *registered; /* dict: type name -> (loads, dumps) */
};

/* One hn_encode call, handed down to every writer. */
struct hn_encoder {
    PyObject *timezone; /* str, or NULL if it is unknown */
    int depth;          /* of values within values */
    hn_time until;      /* see hn_encode */
};

/* How many elements of a list are encoded between two checks of the clock. */
#define HN_LATE_EVERY 1024
int hn_bulk_init(void);
/* Whether the time is up; then an exception is set. */
bool hn_encoder_is_late(const hn_encoder *encoder);
/* Appends bytes, and checks the clock where they are many: the kernel has to find memory for them.
 */
int hn_write_bytes(const hn_encoder *encoder, const void *data, size_t len, hn_buf *out);

/* A new type of the codec, in place of one of the same OID. NULL with an exception. */
hn_type *hn_type_add(hn_codec *codec, uint32_t oid, hn_family family, PyObject *name);
void hn_type_set_family(hn_type *type, hn_family family);
/* Give a new type the converters that the user registered for its name. 0 or -1. */
int hn_type_apply_registered(hn_type *type, const char *schema);
/* A reference to the types that the codec has now, or NULL if it has none. */
hn_type_set *hn_type_set_ref(const hn_codec *codec);
void hn_type_set_unref(hn_codec *codec, hn_type_set *set);
/* The table as a new list of (oid, name, family, array oid). */
PyObject *hn_builtin_types(void);

/* The type from the codec, or from the table, which then adds it to the codec. NULL without an
 * exception if it is unknown. Array types come from the row of their element. */
hn_type *hn_type_known(hn_codec *codec, uint32_t oid);

/* The type ready for use; in place of a domain its base, unless a converter is registered for the
 * domain. Never NULL without an exception. */
const hn_type *hn_type_linked(hn_codec *codec, uint32_t oid);

/* Collects the types that this one is made of, itself included, and that the codec lacks. A new
 * walk visits every type again; within one, each type is visited once. */
void hn_codec_new_walk(hn_codec *codec);
size_t hn_type_unknown(hn_codec *codec, uint32_t oid, uint32_t *oids, size_t n, size_t max);

/* Appends length word and value, or -1 for None, in binary; returns what a writer does. */
int hn_write_value(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out);
/* Appends the text that the server reads as the value, no length word; returns what a writer does
 * but for HN_AS_TEXT. Takes what the type's writer takes. */
int hn_write_text(hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out);
/* Append a str's UTF-8; CharacterNotInRepertoire for NUL and surrogates. 0 or -1. */
int hn_write_str(const hn_type *type, PyObject *value, hn_buf *out);
/* The same for one that may be long. */
int hn_write_long_str(const hn_encoder *encoder, const hn_type *type, PyObject *value, hn_buf *out);
/* Append the binary value that a str stands for, where every server reads that text as this value
 * and no other: exact.c. HN_WRITTEN, HN_NO_FIT, or -1. */
int hn_write_exact(hn_encoder *encoder, const hn_type *type, PyObject *text, hn_buf *out);
/* Read one value that may be NULL, as containers hold it; len -1 is NULL. */
static inline PyObject *hn_read_value(const hn_type *type, const uint8_t *data, int32_t len)
{
    return len < 0 ? Py_NewRef(Py_None) : type->read(type, data, (size_t)len);
}

/* The type of the literal that a value would be in SQL: of numbers, bool, date and time, uuid, and
 * an enum's value; 0 for any other, str among them. 0 or -1. */
int hn_own_type(PyObject *value, uint32_t *oid);
/* Whether the server takes a parameter for this type where nothing else determines it. */
bool hn_is_open_type(const hn_type *type);

/* The digits of an int, float or Decimal as a new str. DataError for an int of more digits than
 * str() takes, unless the type is numeric: its values are bounded. */
PyObject *hn_number_digits(const hn_type *type, PyObject *value);

/* DataError about bytes that are no value of the type; always NULL. */
PyObject *hn_unreadable(const hn_type *type, const char *why);
/* DataError for a value that Python's type cannot hold; always NULL. */
PyObject *hn_beyond_python(const hn_type *type, const char *format, ...);
/* NumericValueOutOfRange; always -1. The value is not named. */
int hn_out_of_range(const hn_type *type, PyObject *value);
/* DataError for a value whose type fits but which would be altered on its way; always -1. */
int hn_unfit(const hn_type *type, PyObject *value, const char *why);
/* Raises an exception that was taken again, with the place ahead of its text if it is one of the
 * codec's; row: of execute_many, else -1. Steals both references. where may be NULL with an
 * exception set, which is then raised. */
void hn_raise_with_place(PyObject *raised, PyObject *where, Py_ssize_t row);

#endif
