/* What every scope does as it begins and ends. hypern/scope/scope.py adds what only scopes with
 * options, sessions or errors need.
 *
 * In C, since a request with one query took 24.2 us of the client's processor time with this in
 * Python, and takes 21.9 (pinned to one core). */
#include "api/scope_life.h"

#include <pthread.h>
#include <string.h>

#include "api/guard.h"
#include "error.h"

static const char generated[] = "hypern:"; /* begins an id that names one scope only */
#define GENERATED_LEN (sizeof generated - 1)

static PyTypeObject *scope_type;
static PyObject *current; /* ContextVar: a Scope, or None */
/* By request id, the scopes with a generated one and those with options: weak references, since a
 * scope that is no longer referenced ends. */
static PyObject *open_scopes;
static bool tracks_written;  /* an alias has a replica, so that scopes keep what they commit */
static bool tracks_borrowed; /* another's connections are lent, so that scopes end what they began
                                there */

static hn_name close_name = {"close", NULL}, keep_written_name = {"keep_written", NULL},
               resolve_name = {"_resolve", NULL};

#define ID_BYTES ((size_t)12)
/* Random bytes of the system's for the ids of the next scopes; guarded by the GIL. A forked child
 * has none of its parent's. */
static struct {
    uint8_t bytes[32 * ID_BYTES];
    size_t left;
} random_bytes;

static void forget_random(void)
{
    random_bytes.left = 0;
}

/* 0, or -1 with an exception. */
static int refill(void)
{
    PyObject *os = PyImport_ImportModule("os");
    Py_ssize_t size = sizeof random_bytes.bytes;
    PyObject *more = os == NULL ? NULL : PyObject_CallMethod(os, "urandom", "n", size);
    Py_XDECREF(os);
    if (more == NULL)
        return -1;
    if (!PyBytes_Check(more) || PyBytes_GET_SIZE(more) != size) {
        Py_DECREF(more);
        PyErr_SetString(PyExc_SystemError, "os.urandom() has not returned what it should");
        return -1;
    }
    memcpy(random_bytes.bytes, PyBytes_AS_STRING(more), (size_t)size);
    random_bytes.left = (size_t)size;
    Py_DECREF(more);
    return 0;
}

static PyObject *generate_id(void)
{
    static const char digits[] = "0123456789abcdef";
    PyObject *id = PyUnicode_New(GENERATED_LEN + 2 * ID_BYTES, 127);
    if (id == NULL || (random_bytes.left < ID_BYTES && refill() < 0)) {
        Py_XDECREF(id);
        return NULL;
    }
    random_bytes.left -= ID_BYTES; /* no Python code runs from here on */
    const uint8_t *bytes = random_bytes.bytes + random_bytes.left;
    Py_UCS1 *text = PyUnicode_1BYTE_DATA(id);
    memcpy(text, generated, GENERATED_LEN);
    text += GENERATED_LEN;
    for (size_t i = 0; i < ID_BYTES; i++) {
        *text++ = (Py_UCS1)digits[bytes[i] >> 4];
        *text++ = (Py_UCS1)digits[bytes[i] & 15];
    }
    return id;
}

static bool is_generated(PyObject *id)
{
    if (PyUnicode_GET_LENGTH(id) < (Py_ssize_t)GENERATED_LEN)
        return false;
    for (size_t i = 0; i < GENERATED_LEN; i++)
        if (PyUnicode_READ_CHAR(id, (Py_ssize_t)i) != (Py_UCS4)generated[i])
            return false;
    return true;
}

/* A given request id as an exact str: a subclass may hash and compare as it likes. */
static PyObject *check_id(PyObject *given)
{
    if (!PyUnicode_Check(given))
        return PyErr_Format(PyExc_TypeError, "request_id must be a str, not %s",
                            Py_TYPE(given)->tp_name);
    if (PyUnicode_GET_LENGTH(given) == 0 || is_generated(given))
        return PyErr_Format(PyExc_ValueError, "request_id must not be empty, nor start with \"%s\"",
                            generated);
    return PyUnicode_FromObject(given);
}

int hn_scope_init(PyObject *scope, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"request_id", "options", NULL};
    hn_scope *self = (hn_scope *)scope;
    PyObject *given = Py_None, *options = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO", names, &given, &options))
        return -1;
    PyObject *id = given == Py_None ? generate_id() : check_id(given);
    PyObject *written = id == NULL ? NULL : PyTuple_New(0);
    if (written == NULL) {
        Py_XDECREF(id);
        return -1;
    }
    Py_XSETREF(self->request_id, id);
    Py_XSETREF(self->outer, Py_NewRef(Py_None));
    Py_XSETREF(self->kept, Py_NewRef(options));
    Py_XSETREF(self->written, written);
    Py_XSETREF(self->is_entered, Py_NewRef(Py_False));
    Py_XSETREF(self->ended, Py_NewRef(Py_False));
    return 0;
}

/* Lists the scope by its id. 0, or -1 with an exception. */
static int list(hn_scope *self)
{
    PyObject *weak = PyWeakref_NewRef((PyObject *)self, NULL);
    if (weak == NULL || PyDict_SetItem(open_scopes, self->request_id, weak) < 0) {
        Py_XDECREF(weak);
        return -1;
    }
    Py_XSETREF(self->listed, weak);
    return 0;
}

/* Another scope of the same id, in another thread, may have taken its place. */
static int unlist(hn_scope *self)
{
    PyObject *known = PyDict_GetItemWithError(open_scopes, self->request_id);
    if (known == NULL && PyErr_Occurred())
        return -1;
    if (known == self->listed && PyDict_DelItem(open_scopes, self->request_id) < 0)
        return -1;
    Py_CLEAR(self->listed);
    return 0;
}

PyObject *hn_scope_open(PyObject *scope, PyObject *unused)
{
    (void)unused;
    hn_scope *self = (hn_scope *)scope;
    bool has_options = self->kept != NULL && self->kept != Py_None;
    if (self->request_id == NULL)
        return PyErr_Format(PyExc_AttributeError, "request_id");
    self->is_open = 1;
    self->thread = PyThread_get_thread_ident();
    Py_XSETREF(self->is_entered, Py_NewRef(Py_True));
    if ((has_options || tracks_written || is_generated(self->request_id)) && list(self) < 0)
        return NULL;
    return has_options ? hn_guard_call(scope, &resolve_name, NULL) : Py_NewRef(Py_None);
}

PyObject *hn_scope_close(PyObject *scope, PyObject *unused)
{
    (void)unused;
    hn_scope *self = (hn_scope *)scope;
    if (tracks_written && self->ended != Py_True) {
        PyObject *kept = hn_guard_call(scope, &keep_written_name, NULL);
        if (kept == NULL)
            return NULL;
        Py_DECREF(kept);
    }
    Py_XSETREF(self->ended, Py_NewRef(Py_True));
    if (self->listed != NULL && unlist(self) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* Whether no scope around this one has its id; else an exception. */
static bool is_alone(hn_scope *self, PyObject *outer)
{
    while (PyObject_TypeCheck(outer, scope_type)) {
        hn_scope *around = (hn_scope *)outer;
        if (around->ended != Py_True && around->request_id != NULL &&
            PyUnicode_Compare(around->request_id, self->request_id) == 0) {
            hn_raise("InterfaceError", "a scope \"%U\" is open around this one", self->request_id);
            return false;
        }
        if (around->outer == NULL)
            break;
        outer = around->outer;
    }
    return true;
}

PyObject *hn_scope_enter(PyObject *scope, PyObject *unused)
{
    hn_scope *self = (hn_scope *)scope;
    PyObject *outer, *token = NULL;
    if (self->is_entered == Py_True) {
        hn_raise("InterfaceError", "%R has been entered already; call scope() anew", scope);
        return NULL;
    }
    if (PyContextVar_Get(current, NULL, &outer) < 0)
        return NULL;
    PyObject *opened = is_alone(self, outer) ? hn_scope_open(scope, unused) : NULL;
    Py_XSETREF(self->outer, outer);
    if (opened != NULL)
        token = PyContextVar_Set(current, scope);
    Py_XDECREF(opened);
    if (token == NULL)
        return NULL;
    Py_DECREF(token); /* hn_scope_leave() is also called in other contexts */
    return Py_NewRef(scope);
}

PyObject *hn_scope_leave(PyObject *scope, PyObject *unused)
{
    (void)unused;
    const hn_scope *self = (hn_scope *)scope;
    PyObject *closed = hn_guard_call(scope, &close_name, NULL), *now, *token;
    if (closed == NULL)
        return NULL;
    Py_DECREF(closed);
    if (PyContextVar_Get(current, NULL, &now) < 0)
        return NULL;
    bool is_current = now == scope;
    Py_XDECREF(now);
    /* In another context than the scope was entered in, as some test runners and servers leave
     * generators, it is not the current one; there `ended` closes it. */
    if (is_current) {
        token = PyContextVar_Set(current, self->outer == NULL ? Py_None : self->outer);
        if (token == NULL)
            return NULL;
        Py_DECREF(token);
    }
    Py_RETURN_NONE;
}

static PyObject *track_written(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    tracks_written = true;
    Py_RETURN_NONE;
}

static PyObject *track_borrowed(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    tracks_borrowed = true;
    Py_RETURN_NONE;
}

bool hn_scope_may_have_borrowed(void)
{
    return tracks_borrowed;
}

static PyMethodDef functions[] = {
    {"track_borrowed", track_borrowed, METH_NOARGS, NULL},
    {"track_written", track_written, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

int hn_scope_life_ready(PyObject *module, PyTypeObject *type)
{
    if (scope_type == NULL) {
        current = PyContextVar_New("hypern.scope", Py_None);
        open_scopes = current == NULL ? NULL : PyDict_New();
        if (open_scopes == NULL)
            return -1;
        if (pthread_atfork(NULL, NULL, forget_random) != 0) {
            PyErr_NoMemory();
            return -1;
        }
        scope_type = type;
    }
    if (PyModule_AddStringConstant(module, "GENERATED", generated) < 0 ||
        PyModule_AddObjectRef(module, "current_scope", current) < 0 ||
        PyModule_AddObjectRef(module, "open_scopes", open_scopes) < 0)
        return -1;
    return PyModule_AddFunctions(module, functions);
}
