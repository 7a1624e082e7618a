/* Append to an hn_buf: the growable bytes that the engine and the codec write messages into.
 *
 * An hn_buf has one owner at a time. hn_buf_grow needs no GIL and sets no exception;
 * all other functions need the GIL and return -1 with MemoryError set. Integers are
 * written in network order. A failed append leaves what was there as it was.
 */
#ifndef HN_BUF_H
#define HN_BUF_H

#include <Python.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hypern_abi.h"

/* Room for `extra` more bytes; -1 if memory is short. By realloc: Go may grow the same bytes. */
static inline int hn_buf_grow(hn_buf *b, size_t extra)
{
    if (extra <= b->cap - b->len)
        return 0;
    if (extra > SIZE_MAX / 2 || b->len > SIZE_MAX / 2 - extra)
        return -1;
    size_t cap = b->cap < 512 ? 512 : b->cap;
    while (cap < b->len + extra)
        cap *= 2;
    uint8_t *data = realloc(b->data, cap);
    if (data == NULL)
        return -1;
    b->data = data;
    b->cap = cap;
    return 0;
}

static inline int hn_buf_reserve(hn_buf *b, size_t extra)
{
    if (hn_buf_grow(b, extra) == 0)
        return 0;
    PyErr_NoMemory();
    return -1;
}

static inline void hn_buf_free(hn_buf *b)
{
    free(b->data);
    b->data = NULL;
    b->len = b->cap = 0;
}

static inline void hn_put_u16(uint8_t *at, uint16_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)(v & 0xff);
}

static inline void hn_put_u32(uint8_t *at, uint32_t v)
{
    at[0] = (uint8_t)(v >> 24);
    at[1] = (uint8_t)((v >> 16) & 0xff);
    at[2] = (uint8_t)((v >> 8) & 0xff);
    at[3] = (uint8_t)(v & 0xff);
}

static inline void hn_put_u64(uint8_t *at, uint64_t v)
{
    hn_put_u32(at, (uint32_t)(v >> 32));
    hn_put_u32(at + 4, (uint32_t)(v & 0xffffffffu));
}

static inline uint16_t hn_get_u16(const uint8_t *at)
{
    return (uint16_t)(((unsigned)at[0] << 8) | at[1]);
}

static inline uint32_t hn_get_u32(const uint8_t *at)
{
    return ((uint32_t)at[0] << 24) | ((uint32_t)at[1] << 16) | ((uint32_t)at[2] << 8) | at[3];
}

static inline uint64_t hn_get_u64(const uint8_t *at)
{
    return ((uint64_t)hn_get_u32(at) << 32) | hn_get_u32(at + 4);
}

static inline int hn_buf_bytes(hn_buf *b, const void *data, size_t len)
{
    if (hn_buf_reserve(b, len) < 0)
        return -1;
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    return 0;
}

static inline int hn_buf_u8(hn_buf *b, uint8_t v)
{
    if (hn_buf_reserve(b, 1) < 0)
        return -1;
    b->data[b->len++] = v;
    return 0;
}

static inline int hn_buf_u16(hn_buf *b, uint16_t v)
{
    if (hn_buf_reserve(b, 2) < 0)
        return -1;
    hn_put_u16(b->data + b->len, v);
    b->len += 2;
    return 0;
}

static inline int hn_buf_u32(hn_buf *b, uint32_t v)
{
    if (hn_buf_reserve(b, 4) < 0)
        return -1;
    hn_put_u32(b->data + b->len, v);
    b->len += 4;
    return 0;
}

static inline int hn_buf_u64(hn_buf *b, uint64_t v)
{
    if (hn_buf_reserve(b, 8) < 0)
        return -1;
    hn_put_u64(b->data + b->len, v);
    b->len += 8;
    return 0;
}

/* A 32-bit length to be known later: its offset for hn_buf_close32, or -1. */
static inline Py_ssize_t hn_buf_open32(hn_buf *b)
{
    Py_ssize_t at = (Py_ssize_t)b->len;
    return hn_buf_u32(b, 0) < 0 ? -1 : at;
}

/* The bytes appended since hn_buf_open32, not counting the length word; OverflowError beyond
 * 2 GiB, which no message of the protocol can hold. */
static inline int hn_buf_close32(hn_buf *b, Py_ssize_t at)
{
    size_t len = b->len - (size_t)at - 4;
    if (len > INT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "a value of more than 2 GiB cannot be sent");
        return -1;
    }
    hn_put_u32(b->data + at, (uint32_t)len);
    return 0;
}

#endif
