/* A description's insides, for the encoder and the row decoder. */
#ifndef HN_DESCRIPTION_H
#define HN_DESCRIPTION_H

#include "values/types.h"

typedef struct hn_param {
    uint32_t oid;
    uint32_t declared; /* 0: inferred by the server */
    bool is_open;      /* the server took it for text, or would have: values may declare its type */
    const hn_type *type;
} hn_param;

/* Whether a column may be NULL, as far as its table tells. */
typedef enum hn_nullable { HN_NULLABLE_UNKNOWN, HN_NULLABLE, HN_NOT_NULL } hn_nullable;

typedef struct hn_column {
    PyObject *name; /* interned str */
    const hn_type *type;
    hn_reader read;   /* for the format asked for */
    hn_family family; /* SERVER_TEXT if the format asked for is text */
    uint32_t oid;
    uint32_t table; /* where the column comes from, or 0 */
    uint16_t number;
    int16_t size; /* bytes of a value; below 0: they vary */
    int32_t modifier;
    hn_nullable nullable;
} hn_column;

struct hn_description {
    size_t refs;
    hn_codec *codec;          /* a reference */
    uint64_t generation;      /* of the codec when the types were chosen */
    hn_type_set *types;       /* a reference to what they belong to, or NULL */
    PyObject *sql, *timezone; /* str or NULL */
    PyObject *empty_row;      /* what every row is a copy of: the names in order, each None */
    PyObject *as_columns;     /* a tuple of Column; NULL until it is asked for */
    PyObject *makers;         /* dict: row class -> Maker or None; NULL until there is one */
    hn_param *params;
    hn_column *columns;
    hn_buf parameter_formats; /* all binary, and the number of parameters */
    hn_buf result_formats;
    hn_declared declared;
    uint16_t nparams, ncolumns;
    uint16_t settings;      /* HN_IN_ISO, HN_IN_DIGITS: what the columns read as text depend on */
    uint8_t has_duplicates; /* two columns of one name: the last wins, NULL or not */
    uint8_t logged_duplicates;
};

/* Read a RowDescription's body. 0 or -1. */
int hn_description_read_columns(hn_description *description, const uint8_t *at, size_t len);

#endif
