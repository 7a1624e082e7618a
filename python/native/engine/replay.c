/* The rows of execute_many, which may have to be sent once more. */
#include "engine/replay.h"

int hn_replay_begin(hn_replay *rows, PyObject *iterable)
{
    rows->to_come = iterable == NULL;
    if (iterable == NULL)
        return 0;
    rows->left = PyObject_GetIter(iterable);
    return rows->left == NULL ? -1 : 0;
}

int hn_replay_give(hn_replay *rows, PyObject *iterable, bool more)
{
    rows->to_come = more;
    Py_XSETREF(rows->left, PyObject_GetIter(iterable));
    return rows->left == NULL ? -1 : 0;
}

bool hn_replay_lacks_rows(const hn_replay *rows)
{
    return rows->to_come && rows->left == NULL && rows->again == NULL && rows->held == NULL;
}

PyObject *hn_replay_next(hn_replay *rows)
{
    PyObject *row = rows->held;
    if (row != NULL) {
        rows->held = NULL;
        return row;
    }
    if (rows->again != NULL) {
        row = PyIter_Next(rows->again);
        if (row != NULL || PyErr_Occurred())
            return row;
        Py_CLEAR(rows->again);
    }
    row = rows->left == NULL ? NULL : PyIter_Next(rows->left);
    if (row == NULL)
        Py_CLEAR(rows->left);
    return row;
}

void hn_replay_hold(hn_replay *rows, PyObject *row)
{
    Py_XSETREF(rows->held, Py_NewRef(row));
}

int hn_replay_start_keeping(hn_replay *rows, PyObject *all)
{
    rows->is_own = all != NULL;
    Py_XSETREF(rows->kept, all != NULL ? Py_NewRef(all) : PyList_New(0));
    return rows->kept == NULL ? -1 : 0;
}

int hn_replay_keep(hn_replay *rows, PyObject *row)
{
    return rows->kept == NULL || rows->is_own ? 0 : PyList_Append(rows->kept, row);
}

void hn_replay_stop_keeping(hn_replay *rows)
{
    Py_CLEAR(rows->kept);
}

int hn_replay_rewind(hn_replay *rows)
{
    if (rows->held != NULL && !rows->is_own && PyList_Append(rows->kept, rows->held) < 0)
        return -1;
    Py_CLEAR(rows->held);
    if (rows->is_own)
        Py_CLEAR(rows->left);
    Py_XSETREF(rows->again, PyObject_GetIter(rows->kept));
    Py_CLEAR(rows->kept);
    return rows->again == NULL ? -1 : 0;
}

void hn_replay_clear(hn_replay *rows)
{
    Py_CLEAR(rows->held);
    Py_CLEAR(rows->again);
    Py_CLEAR(rows->left);
    Py_CLEAR(rows->kept);
    rows->to_come = rows->is_own = false;
}
