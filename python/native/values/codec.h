/* Values between Python and PostgreSQL's wire format: what the engine needs of the codec.
 *
 * Every function needs the GIL. A description has one statement's parameter types and columns, with
 * the converters chosen for them; a codec has the types of one Pool beyond the built-in ones.
 */
#ifndef HN_CODEC_H
#define HN_CODEC_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "native.h"

typedef struct hn_codec hn_codec;
typedef struct hn_description hn_description;

/* What else hn_encode returns: it is to be called again with the session's time zone; or with a
 * description for other declared types, see hn_declared_types. */
#define HN_NEED_TZ 1
#define HN_NEED_DECLARED 4

/* Once, when the module is made: what the converters import. 0, or -1 with an exception. */
int hn_codec_init(void);

/* The hooks may be NULL. */
hn_codec *hn_codec_new(PyObject *json_loads, PyObject *json_dumps, int infinity_minmax);
void hn_codec_free(hn_codec *codec);
/* For the garbage collector, on behalf of the codec's owner: the user's functions that it refers
 * to. */
int hn_codec_traverse(const hn_codec *codec, visitproc visit, void *arg);
void hn_codec_clear(hn_codec *codec);
/* Whether the user has registered converters. */
bool hn_codec_has_registered(const hn_codec *codec);
/* Another codec with the hooks and the registered converters of this one, and no types. The
 * converters are shared. NULL with an exception. */
hn_codec *hn_codec_like(const hn_codec *codec);
/* Take over which types an earlier codec knew, but not what they were. 0 or -1 with an
 * exception. */
int hn_codec_hear(hn_codec *codec, const hn_codec *earlier);
/* Every type becomes unknown again, but for descriptions that have it; those are stale from now
 * on. */
void hn_codec_forget_types(hn_codec *codec);

/* A user's own text converters for the type of this name; NULL or None for "the server's text". */
int hn_codec_register(hn_codec *codec, const char *type_name, PyObject *loads, PyObject *dumps);

/* The types that a statement's parameters are declared with, 0 where the server infers it; none at
 * all are n == 0. */
typedef struct hn_declared {
    uint32_t *oids;
    size_t n, cap;
} hn_declared;

void hn_declared_clear(hn_declared *declared); /* n is 0 */
void hn_declared_free(hn_declared *declared);
int hn_declared_reserve(hn_declared *declared, size_t n); /* n OIDs, all 0; 0 or -1 */
bool hn_declared_equal(const hn_declared *a, const hn_declared *b);
int hn_declared_copy(hn_declared *to, const hn_declared *from);               /* 0 or -1 */
int hn_declared_read(hn_declared *declared, const uint8_t *oids, size_t len); /* host order */

/* From WANT_ENCODE's description, for these declared types (or NULL). sql serves messages and
 * warnings only. The codec must outlive its descriptions. NULL with an exception. */
hn_description *hn_description_new(hn_codec *codec, const uint8_t *out, size_t len,
                                   const hn_declared *declared, PyObject *sql);

/* What params need declared, once hn_encode has returned HN_NEED_DECLARED for them: where the
 * server takes a parameter for text because nothing else determines it, the value's own type. 1; 0:
 * what the description has; -1 with an exception. */
int hn_declared_types(const hn_description *description, PyObject *params, hn_declared *declared);
const hn_declared *hn_description_declared(const hn_description *description);
/* Whether values may need types declared. */
bool hn_description_is_open(const hn_description *description);

/* Type OIDs that neither the table nor the codec has yet, at most max of them; 0 if none are left.
 * The engine requests them from the core (HN_OP_TYPES), hands the rows to hn_codec_add_types, and
 * calls this again. A type the server does not describe is remembered as "the server's text". */
size_t hn_description_unknown(hn_description *description, uint32_t *oids, size_t max);
int hn_codec_add_types(hn_codec *codec, const uint8_t *rows, size_t len, const uint32_t *requested,
                       size_t nrequested);

/* Whether the codec has since learned that types are not what they were (hn_codec_register, a
 * composite type altered): it is to be dropped, and its statement described again. */
int hn_description_is_stale(const hn_description *description);

/* The codec that the description was made with. */
hn_codec *hn_description_codec(const hn_description *description);

/* Whether a parameter is a composite or made of composites: then what its encoder refuses may be
 * right for the type as it is by now. */
int hn_description_takes_rows(const hn_description *description);

/* Whether both have columns of the same types, in the same formats. */
bool hn_description_comes_as(const hn_description *description, const hn_description *other);

/* Whether all columns come in binary, as in a binary COPY; else NotSupportedError is set. */
bool hn_description_comes_binary(const hn_description *description);

/* Whether a RowDescription has the description's columns, by name and type. */
bool hn_description_is_announced(const hn_description *description, const uint8_t *body,
                                 size_t len);

/* The tables whose columns the result has, at most max of their OIDs. */
size_t hn_description_tables(const hn_description *description, uint32_t *oids, size_t max);
/* Takes in which columns are of a domain, three uint32 for each (HN_IN_COLUMNS): the server names a
 * domain's base, and the user may have registered converters for the domain. */
void hn_description_set_domains(hn_description *description, const uint8_t *rows, size_t len);
/* Takes in which columns may be NULL (HN_IN_NULLS). */
void hn_description_set_nulls(hn_description *description, const uint8_t *rows, size_t len);

/* Once hn_description_unknown has returned 0: chooses converters and result formats. 0 or -1. */
int hn_description_resolve(hn_description *description);

void hn_description_ref(hn_description *description);
void hn_description_unref(hn_description *description);
uint16_t hn_description_nparams(const hn_description *description);
uint16_t hn_description_ncolumns(const hn_description *description);
/* HN_IN_ISO, HN_IN_DIGITS: which settings a result must be printed under to be read. */
uint32_t hn_description_settings(const hn_description *description);
PyObject *hn_description_timezone(const hn_description *description); /* borrowed str, or NULL */

/* A sequence that is a statement's parameters, and not a str, bytes, dict or set. row: as in
 * hn_encode. 0 or -1. */
int hn_check_params(PyObject *params, Py_ssize_t row);

/* Append one Bind body (hypern_abi.h: "The body of a Bind"). params: NULL, None or a sequence that
 * hn_check_params accepted. 0; -1 with an exception and body->len as it was; HN_NEED_TZ when an
 * aware datetime meets `timestamp` and timezone (a str) is NULL, HN_NEED_DECLARED when a value
 * needs a type declared that the description lacks, body->len as it was. row: the zero-based row of
 * execute_many that messages name, or -1. until: when a long list is abandoned
 * (hn_encode_was_late); of hn_now(), or HN_NEVER. */
int hn_encode(hn_description *description, PyObject *params, PyObject *timezone, Py_ssize_t row,
              hn_time until, hn_buf *body);
/* Append a row as binary COPY has it, of the types of the description's parameters: a sequence of
 * as many values. columns: a tuple of their names, for messages. Otherwise as hn_encode. */
int hn_encode_copied(const hn_description *description, PyObject *row, PyObject *columns,
                     PyObject *timezone, Py_ssize_t number, hn_time until, hn_buf *body);
/* Whether the exception that is set says that `until` had passed. */
bool hn_encode_was_late(void);

/* Before rows of this description become dicts: logs, once, that two columns have one name. 0 or
 * -1. */
int hn_description_makes_dicts(hn_description *description);

/* Tuples of hypern._result.Column, a Description, and a Result; new references or NULL. */
PyObject *hn_description_columns(hn_description *description);
PyObject *hn_description_describe(const hn_description *description);
PyObject *hn_description_result(hn_description *description, PyObject *rows, long long count,
                                const char *tag, size_t tag_len);

/* One DataRow, after its length word, as a dict and as a tuple. NULL with DataError for bytes that
 * are not what the description's columns announce. */
PyObject *hn_decode_row(hn_description *description, const uint8_t *body, size_t len);
PyObject *hn_decode_tuple(hn_description *description, const uint8_t *body, size_t len);
/* The same as an object of a class, by hn_description_maker of this description. */
PyObject *hn_decode_made(hn_description *description, PyObject *maker, const uint8_t *body,
                         size_t len);

/* What makes the rows of this description objects of a class (hn_row_class_of): a new reference, of
 * None where they are dicts as they are. NULL with RowMismatch if the columns do not fit it. Found
 * once for each class. */
PyObject *hn_description_maker(hn_description *description, PyObject *row_class);
PyObject *hn_decode_first(hn_description *description, const uint8_t *body,
                          size_t len); /* first column only */

#endif
