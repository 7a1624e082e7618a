/* Quoting and unquoting in the text of arrays, composites, ranges and hstore: in all of them a
 * backslash escapes the next character, and a quote within quotes may be doubled. */
#include "values/literal.h"

int hn_quote(hn_buf *out, size_t start)
{
    size_t extra = 2;
    for (size_t i = start; i < out->len; i++)
        extra += out->data[i] == '"' || out->data[i] == '\\';
    if (hn_buf_reserve(out, extra) < 0)
        return -1;
    const uint8_t *from = out->data + out->len;
    uint8_t *to = out->data + out->len + extra;
    out->len += extra;
    *--to = '"';
    while (from > out->data + start) {
        *--to = *--from;
        if (*from == '"' || *from == '\\')
            *--to = '\\';
    }
    *--to = '"';
    return 0;
}

static int unescape(const uint8_t *at, const uint8_t *end, hn_token *token)
{
    uint8_t *to = token->owned = PyMem_Malloc((size_t)(end - at) + 1);
    if (to == NULL)
        return PyErr_NoMemory(), -1;
    for (; at < end; at++) {
        if ((*at == '\\' || *at == '"') && at + 1 < end)
            at++;
        *to++ = *at;
    }
    token->data = token->owned;
    token->len = (size_t)(to - token->owned);
    return 0;
}

int hn_read_token(const hn_type *type, hn_cursor *c, const char *stops, hn_token *token)
{
    const uint8_t *start = c->at;
    token->owned = NULL;
    token->quoted = hn_skip(c, '"');
    if (!token->quoted) {
        while (c->at < c->end && (*c->at == '\0' || strchr(stops, *c->at) == NULL))
            c->at++;
        token->data = start;
        token->len = (size_t)(c->at - start);
        return 0;
    }
    start = c->at;
    int escapes = 0;
    for (;; c->at++) {
        if (c->at >= c->end)
            return hn_unreadable(type, "unterminated quoted string"), -1;
        if (*c->at == '"' && !(c->at + 1 < c->end && c->at[1] == '"'))
            break;
        if (*c->at == '\\' || *c->at == '"') {
            escapes = 1;
            c->at++;
        }
    }
    const uint8_t *end = c->at++;
    token->data = start;
    token->len = (size_t)(end - start);
    return escapes ? unescape(start, end, token) : 0;
}

void hn_token_free(hn_token *token)
{
    PyMem_Free(token->owned);
    token->owned = NULL;
}
