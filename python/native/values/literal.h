/* Quoting and unquoting in the text of arrays, composites, ranges and hstore. */
#ifndef HN_LITERAL_H
#define HN_LITERAL_H

#include "values/types.h"

/* Put double quotes around the bytes of `out` from `start`, with backslashes where they need them.
 * 0 or -1. */
int hn_quote(hn_buf *out, size_t start);

/* A text being read; `at` never passes `end`. */
typedef struct hn_cursor {
    const uint8_t *at, *end;
} hn_cursor;

/* The next character, or -1 at the end. */
static inline int hn_peek(const hn_cursor *c)
{
    return c->at < c->end ? *c->at : -1;
}

static inline int hn_skip(hn_cursor *c, char expected)
{
    if (hn_peek(c) != expected)
        return 0;
    c->at++;
    return 1;
}

typedef struct hn_token {
    const uint8_t *data;
    size_t len;
    int quoted;
    uint8_t *owned; /* the unescaped bytes, if there was an escape */
} hn_token;

/* A quoted token, or the characters ahead of any of those in `stops`. 0, or -1 with an exception.
 */
int hn_read_token(const hn_type *type, hn_cursor *c, const char *stops, hn_token *token);
void hn_token_free(hn_token *token);

static inline int hn_token_is_null(const hn_token *token)
{
    return !token->quoted && token->len == 4 && memcmp(token->data, "NULL", 4) == 0;
}

#endif
