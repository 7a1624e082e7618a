/* The open sessions of this process, by request. */
#include "session/index.h"

#include "core/core.h"
#include "error.h"
#include "session/view.h"

/* request id -> the first of its sessions, the others linked to it by `next`; of index_generation
 * only. The keys are exact str, so that no look-up runs Python code. */
static PyObject *by_request;
static uint32_t index_generation;

int hn_index_ready(void)
{
    if (by_request == NULL)
        by_request = PyDict_New();
    return by_request == NULL ? -1 : 0;
}

static PyObject *key_of(PyObject *request_id)
{
    return PyUnicode_CheckExact(request_id) ? Py_NewRef(request_id)
                                            : PyUnicode_FromObject(request_id);
}

/* Borrowed; NULL without an exception if there is none. */
static hn_view *first_of(PyObject *request_id)
{
    if (index_generation != hn_core_generation()) {
        /* Dropping the parent's sessions may run Python code, which may open one here. */
        index_generation = hn_core_generation();
        PyDict_Clear(by_request);
    }
    PyObject *key = key_of(request_id);
    if (key == NULL)
        return NULL;
    PyObject *first = PyDict_GetItemWithError(by_request, key);
    Py_DECREF(key);
    return (hn_view *)first;
}

static bool is_of(const hn_view *session, PyObject *alias)
{
    return session->target.database->alias == alias ||
           PyUnicode_Compare(session->target.database->alias, alias) == 0;
}

PyObject *hn_index_find(PyObject *request_id, PyObject *alias, bool reads)
{
    hn_view *session = first_of(request_id);
    while (session != NULL && (session->reads != reads || !is_of(session, alias)))
        session = session->next;
    return Py_XNewRef((PyObject *)session);
}

PyObject *hn_index_list(PyObject *request_id, PyObject *alias)
{
    PyObject *list = PyList_New(0); /* ahead of the look-up, since it may run Python code */
    if (list == NULL)
        return NULL;
    hn_view *session = first_of(request_id);
    bool failed = session == NULL && PyErr_Occurred();
    for (; session != NULL && !failed; session = session->next)
        if (alias == NULL || is_of(session, alias))
            failed = PyList_Append(list, (PyObject *)session) < 0;
    if (failed)
        Py_CLEAR(list);
    return list;
}

int hn_index_add(hn_view *self)
{
    hn_view *last = first_of(self->request_id);
    if (last == NULL) {
        PyObject *key = PyErr_Occurred() ? NULL : key_of(self->request_id);
        int rc = key == NULL ? -1 : PyDict_SetItem(by_request, key, (PyObject *)self);
        Py_XDECREF(key);
        return rc;
    }
    while (last->next != NULL)
        last = last->next;
    last->next = (hn_view *)Py_NewRef((PyObject *)self);
    return 0;
}

/* The session that follows takes its place. */
static int take_out(hn_view *self)
{
    hn_view *before = first_of(self->request_id), *next = self->next;
    if (before == self) {
        PyObject *key = key_of(self->request_id);
        int rc = key == NULL    ? -1
                 : next == NULL ? PyDict_DelItem(by_request, key)
                                : PyDict_SetItem(by_request, key, (PyObject *)next);
        Py_XDECREF(key);
        if (rc < 0)
            return -1;
        self->next = NULL;
        Py_XDECREF((PyObject *)next); /* the index has its own */
        return 0;
    }
    while (before != NULL && before->next != self)
        before = before->next;
    if (before == NULL)
        return PyErr_Occurred() ? -1 : 0; /* another thread was first */
    self->next = NULL;
    before->next = next;
    Py_DECREF((PyObject *)self);
    return 0;
}

void hn_index_remove(hn_view *self)
{
    if (self->target.generation != hn_core_generation())
        return;
    PyObject *exception = hn_exception_take(); /* that of the operation which closed it */
    if (take_out(self) < 0)
        PyErr_WriteUnraisable((PyObject *)self);
    if (exception != NULL)
        hn_exception_raise(exception);
}
