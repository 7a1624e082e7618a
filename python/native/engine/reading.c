/* Which description the results of execute_many's rows are read by. */
#include "engine/reading.h"

void hn_reading_begin(hn_reading *reading, Py_ssize_t command)
{
    reading->command = command;
    reading->at = 0;
}

bool hn_reading_ends_with(const hn_reading *reading, const hn_description *description)
{
    return reading->n > 0 && reading->spans[reading->n - 1].description == description;
}

int hn_reading_add(hn_reading *reading, Py_ssize_t from, hn_description *description,
                   PyObject *maker)
{
    if (reading->n == reading->cap) {
        size_t cap = reading->cap == 0 ? 8 : 2 * reading->cap;
        hn_span *spans = PyMem_Realloc(reading->spans, cap * sizeof *spans);
        if (spans == NULL) {
            Py_XDECREF(maker);
            PyErr_NoMemory();
            return -1;
        }
        reading->spans = spans;
        reading->cap = cap;
    }
    hn_description_ref(description);
    reading->spans[reading->n++] = (hn_span){from, description, maker};
    return 0;
}

void hn_reading_next(hn_reading *reading)
{
    reading->command++;
}

hn_description *hn_reading_description(hn_reading *reading, PyObject **maker)
{
    if (reading->command < 0 || reading->n == 0)
        return NULL;
    while (reading->at + 1 < reading->n && reading->spans[reading->at + 1].from <= reading->command)
        reading->at++;
    const hn_span *span = &reading->spans[reading->at];
    *maker = span->maker;
    return span->description;
}

void hn_reading_clear(hn_reading *reading)
{
    while (reading->n > 0) {
        hn_span *span = &reading->spans[--reading->n];
        hn_description_unref(span->description);
        Py_XDECREF(span->maker);
    }
    reading->at = 0;
    reading->command = 0;
}

void hn_reading_free(hn_reading *reading)
{
    hn_reading_clear(reading);
    PyMem_Free(reading->spans);
    *reading = (hn_reading){0};
}
