/* Where a transaction() block is entered: for error texts, and for who leaves it.
 *
 * A generator that a framework runs as a dependency, such as FastAPI's
 *
 *     def transaction(session: Session):
 *         with session.transaction():
 *             yield session
 *
 * is suspended inside its block while the request is handled, and resumed before or after the
 * response is sent, depending on FastAPI's version and the dependency's scope. The end of the
 * request leaves such a block in its place, which no other block may be: its code is running.
 */
#include "api/place.h"

#include <frameobject.h> /* PyFrame_GetBack, up to CPython 3.10 */
#include <string.h>

static const char contextlib[] = "/contextlib.py";

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), n = strlen(end);
    return len >= n && memcmp(text + len - n, end, n) == 0;
}

static const char *file_of(PyFrameObject *frame)
{
    PyCodeObject *code = PyFrame_GetCode(frame);
    const char *text = PyUnicode_AsUTF8(code->co_filename);
    Py_DECREF(code); /* the frame has another reference */
    if (text == NULL)
        PyErr_Clear();
    return text == NULL ? "" : text;
}

static bool is_generator(PyFrameObject *frame)
{
    PyCodeObject *code = PyFrame_GetCode(frame);
    int flags = code->co_flags;
    Py_DECREF(code);
    return (flags & (CO_GENERATOR | CO_ASYNC_GENERATOR)) != 0;
}

/* Whether a file only passes the entering on: an ExitStack's, or that of run(). */
static bool passes_on(PyFrameObject *frame)
{
    const char *file = file_of(frame);
    return ends_with(file, contextlib) || ends_with(file, "/hypern/session/blocking.py") ||
           ends_with(file, "/hypern/session/awaited.py");
}

/* Whether a file is of those that run a dependency: on the event loop, or in a worker thread. */
static bool runs_dependencies(PyFrameObject *frame)
{
    const char *file = file_of(frame);
    return strstr(file, "/fastapi/dependencies/") != NULL ||
           ends_with(file, "/fastapi/concurrency.py") || strstr(file, "/anyio/_backends/") != NULL;
}

/* The frame that has called this one, whose reference it takes. */
static PyFrameObject *step_back(PyFrameObject *frame)
{
    PyFrameObject *back = PyFrame_GetBack(frame);
    Py_DECREF(frame);
    return back;
}

/* Whether the frame is that of a dependency, or of a context manager that one is suspended in. */
static bool is_of_dependency(PyFrameObject *frame)
{
    frame = (PyFrameObject *)Py_NewRef((PyObject *)frame);
    bool found = false;
    while (frame != NULL && is_generator(frame)) {
        frame = step_back(frame);
        bool is_managed = frame != NULL && ends_with(file_of(frame), contextlib);
        while (frame != NULL && ends_with(file_of(frame), contextlib))
            frame = step_back(frame);
        if (!is_managed)
            break;
        found = frame != NULL && runs_dependencies(frame);
    }
    Py_XDECREF((PyObject *)frame);
    return found;
}

PyObject *hn_place(PyObject *begin, bool *is_dependency)
{
    *is_dependency = false;
    PyFrameObject *frame = (PyFrameObject *)Py_XNewRef((PyObject *)PyEval_GetFrame());
    PyFrameObject *last = NULL;
    while (frame != NULL && passes_on(frame)) {
        Py_XSETREF(last, frame);
        frame = PyFrame_GetBack(frame);
    }
    if (frame == NULL)
        frame = last;
    else
        Py_XDECREF((PyObject *)last);
    if (frame == NULL)
        return PyUnicode_FromFormat("?\n%U", begin); /* called by C alone */
    PyCodeObject *code = PyFrame_GetCode(frame);
    PyObject *text =
        PyUnicode_FromFormat("%U:%d\n%U", code->co_filename, PyFrame_GetLineNumber(frame), begin);
    Py_DECREF(code);
    if (text != NULL)
        *is_dependency = is_of_dependency(frame);
    Py_DECREF(frame);
    return text;
}
