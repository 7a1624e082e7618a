/* Values that take long to encode: the clock is checked meanwhile. */
#include "values/types.h"

#include <string.h>

/* How many bytes are copied between two checks of the clock. */
enum { BULK = 4 << 20 };

/* A class of its own: a converter, or a signal handler, may raise TimeoutError, too. */
static PyObject *late;

int hn_bulk_init(void)
{
    if (late == NULL)
        late = PyErr_NewException("hypern._native.EncodingIsLate", PyExc_TimeoutError, NULL);
    return late == NULL ? -1 : 0;
}

bool hn_encode_was_late(void)
{
    return PyErr_ExceptionMatches(late) != 0;
}

bool hn_encoder_is_late(const hn_encoder *encoder)
{
    if (encoder->until == HN_NEVER || hn_now() < encoder->until)
        return false;
    PyErr_SetString(late, "the parameters take too long to encode");
    return true;
}

int hn_write_bytes(const hn_encoder *encoder, const void *data, size_t len, hn_buf *out)
{
    if (len <= BULK)
        return hn_buf_bytes(out, data, len);
    if (hn_buf_reserve(out, len) < 0)
        return -1;
    for (size_t at = 0; at < len; at += BULK) {
        size_t part = len - at < BULK ? len - at : BULK;
        if (hn_encoder_is_late(encoder))
            return -1;
        memcpy(out->data + out->len, (const uint8_t *)data + at, part);
        out->len += part;
    }
    return 0;
}
