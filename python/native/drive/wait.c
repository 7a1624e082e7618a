/* Deadlines, and waits of a blocking call. */
#include "drive/wait.h"

#include <math.h>
#include <poll.h>

int hn_deadline(PyObject *timeout, hn_time *deadline, double *given)
{
    *deadline = HN_NEVER;
    if (given != NULL)
        *given = -1;
    if (timeout == NULL || timeout == Py_None)
        return 0;
    double seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1.0 && PyErr_Occurred())
        return -1;
    if (isnan(seconds) || seconds < 0) {
        PyErr_SetString(PyExc_ValueError, "timeout must be None or seconds, 0 or more");
        return -1;
    }
    if (given != NULL)
        *given = seconds;
    if (seconds < 1e9)
        *deadline = hn_now() + (hn_time)(seconds * 1e9);
    return 0;
}

int hn_wait_fd(int fd, short events, hn_time until)
{
    struct pollfd p = {.fd = fd, .events = events};
    int ms = hn_ms_until(until, HN_TICK_MS);
    int n;
    Py_BEGIN_ALLOW_THREADS
    n = poll(&p, 1, ms);
    Py_END_ALLOW_THREADS
    if (PyErr_CheckSignals() < 0)
        return -1;
    return n > 0 ? 1 : 0;
}
