/* The statements of a batch. */
#include "engine/items.h"

#include "buf.h"
#include "engine/queued.h"
#include "error.h"

static void make_item(hn_item *item, const hn_queued *queued)
{
    item->sql = Py_NewRef(queued->sql);
    item->params = Py_XNewRef(queued->params);
    item->into = Py_XNewRef(queued->row_class);
    item->shape = queued->shape;
    item->mode = queued->mode;
}

int hn_items_make(hn_engine *e)
{
    hn_batch *batch = &e->batch;
    Py_ssize_t n = PyList_GET_SIZE(e->request.params);
    batch->items = PyMem_Calloc((size_t)n + 1, sizeof *batch->items);
    batch->calls = PyMem_Calloc((size_t)n + 1, sizeof *batch->calls);
    if (batch->items == NULL || batch->calls == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    batch->list = Py_NewRef(e->request.params);
    Py_CLEAR(e->request.params); /* from here on it is an item's */
    batch->at = batch->n = (size_t)n;
    for (Py_ssize_t i = 0; i < n; i++)
        make_item(&batch->items[i], (hn_queued *)PyList_GET_ITEM(batch->list, i));
    return 0;
}

#define EXCHANGE(type, a, b)                                                                       \
    do {                                                                                           \
        type kept = (a);                                                                           \
        (a) = (b);                                                                                 \
        (b) = kept;                                                                                \
    } while (0)

/* Nothing is copied: what the one has, the other has not. */
static void exchange(hn_engine *e, hn_item *item)
{
    EXCHANGE(PyObject *, e->request.sql, item->sql);
    EXCHANGE(PyObject *, e->request.params, item->params);
    EXCHANGE(hn_mode, e->request.mode, item->mode);
    EXCHANGE(hn_row_shape, e->request.shape, item->shape);
    EXCHANGE(PyObject *, e->request.into, item->into);
    EXCHANGE(hn_declared, e->declared, item->declared);
    EXCHANGE(unsigned, e->redeclared, item->redeclared);
    EXCHANGE(hn_description *, e->description, item->description);
    EXCHANGE(uint64_t, e->plan_id, item->plan_id);
    EXCHANGE(PyObject *, e->maker, item->maker);
    EXCHANGE(hn_buf, e->body, item->body);
    EXCHANGE(PyObject *, e->result, item->result);
}

void hn_items_put_back(hn_engine *e)
{
    hn_batch *batch = &e->batch;
    if (batch->at < batch->n)
        exchange(e, &batch->items[batch->at]);
    batch->at = batch->n;
}

void hn_items_select(hn_engine *e, size_t i)
{
    hn_batch *batch = &e->batch;
    if (batch->at == i || i >= batch->n)
        return;
    hn_items_put_back(e);
    exchange(e, &batch->items[i]);
    batch->at = i;
}

hn_item *hn_items_reading(const hn_engine *e)
{
    Py_ssize_t command = e->reading.command;
    bool is_one = command >= 0 && (size_t)command < e->batch.n;
    return is_one ? &e->batch.items[command] : NULL;
}

void hn_items_blame(const hn_engine *e)
{
    if (e->batch.at >= e->batch.n || !PyErr_ExceptionMatches(PyExc_Exception))
        return;
    PyObject *exception = hn_exception_take();
    PyObject *index = PyLong_FromSize_t(e->batch.at);
    if (index == NULL || PyObject_SetAttrString(exception, "index", index) < 0)
        PyErr_Clear(); /* one of a user's converter that takes no attributes */
    Py_XDECREF(index);
    hn_exception_raise(exception);
}

/* A Result; NULL with an exception. */
static PyObject *all_of(hn_item *item)
{
    if (item->description == NULL) {
        PyErr_SetString(PyExc_SystemError, "a result without a description");
        return NULL;
    }
    PyObject *rows = item->result != NULL ? Py_NewRef(item->result) : PyList_New(0);
    PyObject *result = rows == NULL
                           ? NULL
                           : hn_description_result(item->description, rows, item->count,
                                                   (const char *)item->tag.data, item->tag.len);
    Py_XDECREF(rows);
    return result;
}

/* The value of an item; NULL with an exception where it has none. */
static PyObject *value_of(hn_item *item)
{
    switch (item->mode) {
    case HN_MODE_ROWS:
    case HN_MODE_VALUES:
        return item->result != NULL ? Py_NewRef(item->result) : PyList_New(0);
    case HN_MODE_ONE:
    case HN_MODE_ONLY:
    case HN_MODE_VALUE:
        if (item->result == NULL)
            hn_raise_no_rows();
        return Py_XNewRef(item->result);
    case HN_MODE_ONE_OR_NONE:
        return Py_NewRef(item->result != NULL ? item->result : Py_None);
    case HN_MODE_RESULT:
        return all_of(item);
    default:
        return Py_NewRef(Py_None);
    }
}

PyObject *hn_items_settle(hn_engine *e, size_t n)
{
    hn_items_put_back(e);
    for (size_t i = 0; i < n; i++) {
        hn_item *item = &e->batch.items[i];
        PyObject *error = Py_XNewRef(item->raised);
        PyObject *value = error == NULL ? value_of(item) : NULL;
        if (value == NULL && error == NULL)
            error = hn_exception_take();
        hn_queued *queued = (hn_queued *)PyList_GET_ITEM(e->batch.list, (Py_ssize_t)i);
        hn_queued_settle(queued, value, error, item->count);
    }
    return PyLong_FromSize_t(n);
}

static void free_item(hn_item *item)
{
    Py_CLEAR(item->sql);
    Py_CLEAR(item->params);
    Py_CLEAR(item->into);
    Py_CLEAR(item->maker);
    Py_CLEAR(item->result);
    Py_CLEAR(item->raised);
    hn_declared_free(&item->declared);
    if (item->description != NULL)
        hn_description_unref(item->description);
    hn_buf_free(&item->body);
    hn_buf_free(&item->tag);
}

void hn_items_free(hn_engine *e)
{
    hn_batch *batch = &e->batch;
    hn_items_put_back(e);
    for (size_t i = 0; batch->items != NULL && i < batch->n; i++)
        free_item(&batch->items[i]);
    PyMem_Free(batch->items);
    PyMem_Free(batch->calls);
    hn_buf_free(&batch->out);
    Py_CLEAR(batch->list);
    *batch = (hn_batch){.items = NULL};
}
