/* The statements of a batch. */
#include "engine/items.h"

#include "buf.h"
#include "error.h"

/* What hypern.session.batch calls the modes. */
static int mode_of(PyObject *word, hn_mode *mode)
{
    static const struct {
        const char *word;
        hn_mode mode;
    } modes[] = {
        {"rows", HN_MODE_ROWS},     {"count", HN_MODE_COUNT},
        {"row", HN_MODE_ONE},       {"row or none", HN_MODE_ONE_OR_NONE},
        {"only row", HN_MODE_ONLY}, {"value", HN_MODE_VALUE},
        {"values", HN_MODE_VALUES}, {"result", HN_MODE_RESULT},
    };
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (PyUnicode_CompareWithASCIIString(word, modes[i].word) == 0) {
            *mode = modes[i].mode;
            return 0;
        }
    }
    PyErr_Format(PyExc_SystemError, "a batch has no results called %R", word);
    return -1;
}

static int make_item(hn_item *item, PyObject *given)
{
    PyObject *sql, *params, *word, *row_class, *into;
    int shape;
    if (!PyArg_ParseTuple(given, "UOiOUO", &sql, &params, &shape, &row_class, &word, &into))
        return -1;
    item->sql = Py_NewRef(sql);
    item->params = params == Py_None ? NULL : Py_NewRef(params);
    item->shape = (hn_row_shape)shape;
    item->into = row_class == Py_None ? NULL : Py_NewRef(row_class);
    if (mode_of(word, &item->mode) < 0)
        return -1;
    if (item->mode == HN_MODE_RESULT)
        item->shape = HN_ROW_TUPLE;
    return 0;
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
        if (make_item(&batch->items[i], PyList_GET_ITEM(batch->list, i)) < 0)
            return -1;
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

static PyObject *outcome_of(hn_item *item)
{
    PyObject *error = Py_XNewRef(item->raised), *value = NULL;
    if (error == NULL) {
        value = value_of(item);
        if (value == NULL)
            error = hn_exception_take();
    }
    PyObject *outcome = PyTuple_New(3);
    PyObject *count = PyLong_FromLongLong(item->count);
    if (outcome == NULL || count == NULL) {
        Py_XDECREF(outcome);
        Py_XDECREF(count);
        Py_XDECREF(value);
        Py_XDECREF(error);
        return NULL;
    }
    PyTuple_SET_ITEM(outcome, 0, value != NULL ? value : Py_NewRef(Py_None));
    PyTuple_SET_ITEM(outcome, 1, error != NULL ? error : Py_NewRef(Py_None));
    PyTuple_SET_ITEM(outcome, 2, count);
    return outcome;
}

PyObject *hn_items_results(hn_engine *e, size_t n)
{
    hn_items_put_back(e);
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list != NULL && i < n; i++) {
        PyObject *outcome = outcome_of(&e->batch.items[i]);
        if (outcome == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, outcome);
    }
    return list;
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
