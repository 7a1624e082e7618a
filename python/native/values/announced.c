/* Whether a result's columns are those of a description: a statement that is parsed anew may have
 * others than it was described with. */
#include "values/description.h"

#include <string.h>

/* After a column's name in a RowDescription: table, attribute, type, size, modifier, format. */
enum { FIXED = 18, TYPE_AT = 6 };

bool hn_description_is_announced(const hn_description *description, const uint8_t *body, size_t len)
{
    const uint8_t *at = body + 2, *end = body + len;
    if (len < 2 || hn_get_u16(body) != description->ncolumns)
        return false;
    for (uint16_t i = 0; i < description->ncolumns; i++) {
        const hn_column *column = &description->columns[i];
        const uint8_t *stop = memchr(at, 0, (size_t)(end - at));
        if (stop == NULL || end - stop - 1 < FIXED)
            return false;
        Py_ssize_t size;
        const char *name = PyUnicode_AsUTF8AndSize(column->name, &size);
        if (name == NULL) {
            PyErr_Clear();
            return false;
        }
        if (size != stop - at || memcmp(name, at, (size_t)size) != 0 ||
            hn_get_u32(stop + 1 + TYPE_AT) != column->oid)
            return false;
        at = stop + 1 + FIXED;
    }
    return true;
}
