/* Values between Python and PostgreSQL's wire format: what the engine needs of the codec.
 *
 * Every function wants the GIL. A plan is one statement's description (parameter types, columns)
 * with the converters chosen for it; a codec is what one Pool knows beyond the built-in types.
 */
#ifndef HN_CODEC_H
#define HN_CODEC_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <stdint.h>

#include "hypern_abi.h"

typedef struct hn_codec hn_codec;
typedef struct hn_plan hn_plan;

/* hn_encode's third answer: call again with the session's time zone. */
#define HN_NEED_TZ 1

/* Once, when the module is made: what the converters import. 0, or -1 with an exception. */
int hn_codec_init(void);

/* The hooks may be NULL. */
hn_codec *hn_codec_new(PyObject *json_loads, PyObject *json_dumps, int infinity_minmax);
void hn_codec_free(hn_codec *codec);

/* A user's own text converters for the type of this name; NULL or None for "the server's text". */
int hn_codec_register(hn_codec *codec, const char *type_name, PyObject *loads, PyObject *dumps);

/* From WANT_ENCODE's description. sql serves messages and warnings only. The codec must outlive
 * its plans. NULL with an exception. */
hn_plan *hn_plan_new(hn_codec *codec, const uint8_t *out, size_t len, PyObject *sql);

/* Type OIDs that neither the table nor the codec knows yet, at most max of them; 0: none are left.
 * The engine asks the core for them (HN_OP_TYPES), hands the rows to hn_codec_add_types, and asks
 * again. A type the server does not describe is remembered as "the server's text". */
size_t hn_plan_unknown(hn_plan *plan, uint32_t *oids, size_t max);
int hn_codec_add_types(hn_codec *codec, const uint8_t *rows, size_t len, const uint32_t *asked,
                       size_t nasked);

/* Whether the codec has since learned that types are not what they were (hn_codec_register, a
 * composite type altered): such a plan is to be dropped, and its statement described again. */
int hn_plan_is_stale(const hn_plan *plan);

/* Once hn_plan_unknown has answered 0: choose converters and result formats. 0 or -1. */
int hn_plan_resolve(hn_plan *plan);

void hn_plan_ref(hn_plan *plan);
void hn_plan_unref(hn_plan *plan);
uint16_t hn_plan_nparams(const hn_plan *plan);
uint16_t hn_plan_ncolumns(const hn_plan *plan);
PyObject *hn_plan_timezone(const hn_plan *plan); /* borrowed str, or NULL */

/* A sequence that is a statement's parameters, and not a str, bytes, dict or set. 0 or -1. */
int hn_check_params(PyObject *params);

/* Append one Bind body (hypern_abi.h: "The body of a Bind"). params: NULL, None or a sequence that
 * hn_check_params accepted. 0; -1 with an exception and body->len as it was; HN_NEED_TZ when an
 * aware datetime meets `timestamp` and timezone (a str) is NULL, body->len as it was. row: the
 * zero-based row of execute_many that messages name, or -1. */
int hn_encode(hn_plan *plan, PyObject *params, PyObject *timezone, Py_ssize_t row, hn_buf *body);

/* One DataRow, after its length word. NULL with DataError for bytes that are not what the plan's
 * columns announce. */
PyObject *hn_decode_row(hn_plan *plan, const uint8_t *body, size_t len);
PyObject *hn_decode_first(hn_plan *plan, const uint8_t *body, size_t len); /* first column only */

#endif
