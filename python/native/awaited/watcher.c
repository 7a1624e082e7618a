/* What the operations of one event loop wait for: an epoll of ours that the loop watches. */
#include "awaited/watcher.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "awaited/loop.h"
#include "awaited/operation.h"
#include "awaited/telling.h"
#include "core/core.h"
#include "error.h"

/* How long the operations of a loop may keep it from its other work at a time. One chunk of rows
 * is decoded in any case. */
#define BUDGET (HN_MS / 2)
#define EVENTS_MAX 32

static PyTypeObject *watcher_type;
static hn_watcher *watchers; /* the last one used first */

void hn_watcher_forget(void)
{
    for (hn_watcher *w = watchers; w != NULL; w = w->next) {
        close(w->epoll);
        close(w->bell);
        w->epoll = w->bell = -1;
    }
}

static hn_watcher *new_watcher(PyObject *loop)
{
    hn_watcher *self = (hn_watcher *)watcher_type->tp_alloc(watcher_type, 0);
    if (self == NULL)
        return NULL;
    self->loop = Py_NewRef(loop);
    self->generation = hn_core_generation();
    self->next = watchers;
    watchers = self;
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    self->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = self->bell};
    int rc = -1;
    if (self->epoll < 0 || self->bell < 0 ||
        epoll_ctl(self->epoll, EPOLL_CTL_ADD, self->bell, &event) < 0)
        PyErr_SetFromErrno(PyExc_OSError);
    else
        rc = hn_loop_watch(loop, self->epoll, (PyObject *)self);
    Py_DECREF(self); /* the loop's callback has one */
    return rc < 0 ? NULL : self;
}

/* The watcher of a running loop, borrowed. */
static hn_watcher *watcher_of(PyObject *loop)
{
    hn_watcher *w = watchers;
    hn_watcher **from = &watchers;
    while (w != NULL && (w->loop != loop || w->generation != hn_core_generation())) {
        from = &w->next;
        w = w->next;
    }
    if (w == NULL) {
        w = new_watcher(loop);
        if (w == NULL)
            return NULL;
    } else if (w != watchers) {
        *from = w->next;
        w->next = watchers;
        watchers = w;
    }
    w->thread = PyThread_get_thread_ident();
    return w;
}

hn_watcher *hn_watcher_here(void)
{
    hn_watcher *w = hn_telling_here();
    if (w != NULL)
        return w;
    PyObject *loop = hn_loop_running();
    w = loop == NULL ? NULL : watcher_of(loop);
    Py_XDECREF(loop);
    return w;
}

void hn_watcher_add(hn_watcher *self, hn_operation *op)
{
    Py_INCREF(op);
    op->watcher = self;
    op->peer = self->operations;
    op->peer_from = &self->operations;
    if (op->peer != NULL)
        op->peer->peer_from = &op->peer;
    self->operations = op;
}

void hn_watcher_remove(hn_watcher *self, hn_operation *op)
{
    hn_watcher_disarm(self, op);
    *op->peer_from = op->peer;
    if (op->peer != NULL)
        op->peer->peer_from = op->peer_from;
    op->watcher = NULL;
    Py_DECREF(op);
}

/* A place for the descriptor in by_fd. */
static int make_place(hn_watcher *self, int fd)
{
    if ((size_t)fd < self->fds)
        return 0;
    size_t fds = ((size_t)fd | 63) + 1;
    hn_watched *grown = PyMem_Realloc(self->by_fd, fds * sizeof *grown);
    if (grown == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memset(grown + self->fds, 0, (fds - self->fds) * sizeof *grown);
    self->by_fd = grown;
    self->fds = fds;
    return 0;
}

/* Tell the epoll. Most sockets are known from the statement before. */
static int watch(const hn_watcher *self, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(self->epoll, EPOLL_CTL_MOD, fd, &event) == 0 ||
        (errno == ENOENT && epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event) == 0))
        return 0;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

int hn_watcher_arm(hn_watcher *self, hn_operation *op, int fd, short events, uint64_t socket)
{
    if (make_place(self, fd) < 0)
        return -1;
    hn_watched *place = &self->by_fd[fd];
    if (events != POLLIN)
        socket = 0;
    if (socket == 0 || place->socket != socket) {
        uint32_t wanted = socket == 0 ? EPOLLONESHOT : 0;
        wanted |= (events & POLLIN) != 0 ? EPOLLIN : 0;
        wanted |= (events & POLLOUT) != 0 ? EPOLLOUT : 0;
        if (watch(self, fd, wanted) < 0)
            return -1;
        place->socket = socket;
    }
    op->armed_fd = fd;
    place->operation = op;
    return 0;
}

static void enqueue(hn_watcher *self, hn_operation *op)
{
    if (op->is_ready)
        return;
    op->is_ready = true;
    op->next_ready = NULL;
    if (self->last == NULL)
        self->first = op;
    else
        self->last->next_ready = op;
    self->last = op;
}

static void dequeue(hn_watcher *self, hn_operation *op)
{
    hn_operation *before = NULL;
    for (hn_operation *o = self->first; o != op; o = o->next_ready)
        before = o;
    if (before == NULL)
        self->first = op->next_ready;
    else
        before->next_ready = op->next_ready;
    if (self->last == op)
        self->last = before;
    op->is_ready = false;
}

/* The epoll is not told: see collect. */
void hn_watcher_disarm(hn_watcher *self, hn_operation *op)
{
    if (op->armed_fd >= 0 && self->by_fd[op->armed_fd].operation == op)
        self->by_fd[op->armed_fd].operation = NULL;
    op->armed_fd = -1;
    if (op->is_ready)
        dequeue(self, op);
}

static int schedule(hn_watcher *self)
{
    if (self->scheduled)
        return 0;
    bool here = self->thread == PyThread_get_thread_ident();
    self->scheduled = true; /* first: the loop's thread may be there before the call returns */
    if (hn_loop_soon(self->loop, (PyObject *)self, here) == 0)
        return 0;
    if (PyErr_ExceptionMatches(PyExc_MemoryError) && eventfd_write(self->bell, 1) == 0) {
        PyErr_Clear();
        return 0;
    }
    self->scheduled = false;
    return -1;
}

int hn_watcher_again(hn_watcher *self)
{
    return schedule(self);
}

int hn_watcher_soon(hn_watcher *self, hn_operation *op)
{
    enqueue(self, op);
    if (schedule(self) == 0)
        return 0;
    hn_watcher_disarm(self, op);
    return -1;
}

/* A descriptor is ready that nobody waits for: a socket whose session is another's now, or that the
 * server has closed. It is watched no more. */
static void forget(hn_watcher *self, int fd)
{
    hn_watched *place = &self->by_fd[fd];
    if (place->socket != 0)
        epoll_ctl(self->epoll, EPOLL_CTL_DEL, fd, NULL);
    place->socket = 0;
}

static int collect(hn_watcher *self)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(self->epoll, events, EVENTS_MAX, 0);
    for (int i = 0; i < n; i++) {
        if (events[i].data.fd == self->bell) {
            eventfd_t count;
            eventfd_read(self->bell, &count);
            self->scheduled = false;
            continue;
        }
        hn_operation *op = self->by_fd[events[i].data.fd].operation;
        if (op == NULL) {
            forget(self, events[i].data.fd);
        } else {
            hn_watcher_disarm(self, op);
            enqueue(self, op);
        }
    }
    if (n >= 0 || errno == EINTR)
        return 0;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

/* Go on with what is ready, as long as the budget lasts. 0, or -1 with an exception. */
static int go_on(hn_watcher *self, bool asked_for)
{
    /* Straight after a whole budget this is the same turn of the loop: others first. */
    hn_time began = hn_now();
    bool is_tired = !asked_for && began - self->spent < BUDGET / 4;
    int rc = asked_for ? 0 : collect(self);
    if (rc == 0 && is_tired && self->first != NULL)
        rc = schedule(self);
    hn_time until = self->first != NULL && self->first != self->last ? hn_now() + BUDGET : 0;
    /* Scheduled, it is about to be called once more: one budget for a turn of the loop is enough. */
    while (rc == 0 && self->first != NULL && !self->scheduled) {
        hn_operation *next = self->first;
        dequeue(self, next);
        hn_operation_go(next);
        if (self->first != NULL && hn_now() >= until)
            break;
    }
    if (rc == 0 && self->first != NULL)
        rc = schedule(self);
    hn_time ended = hn_now();
    if (ended - began > BUDGET / 2)
        self->spent = ended;
    return rc;
}

/* The loop's callback: the epoll is readable, or (with an argument) it was asked for. */
static PyObject *call(PyObject *op, PyObject *args, PyObject *kwargs)
{
    (void)kwargs;
    hn_watcher *self = (hn_watcher *)op;
    self->thread = PyThread_get_thread_ident();
    bool asked_for = PyTuple_GET_SIZE(args) > 0;
    if (asked_for)
        self->scheduled = false;
    if (self->generation != hn_core_generation())
        Py_RETURN_NONE;
    Py_INCREF(self);
    hn_time spent = self->spent;
    self->is_called = true;
    int rc = go_on(self, asked_for);
    self->is_called = false;
    PyObject *exception = rc < 0 ? hn_exception_take() : NULL;
    PyObject *ending = hn_telling_run(self);
    if (ending != NULL)
        Py_XSETREF(exception, ending);
    if (self->woken.first != NULL && schedule(self) < 0) /* they are told when the loop is run again */
        PyErr_WriteUnraisable((PyObject *)self);
    if (self->spent != spent) /* else the tasks' steps would make it look long ago */
        self->spent = hn_now();
    Py_DECREF(self);
    if (exception == NULL)
        Py_RETURN_NONE;
    hn_exception_raise(exception);
    return NULL;
}

static int traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((hn_watcher *)op)->loop);
    Py_VISIT(((hn_watcher *)op)->alarm.handle);
    for (hn_operation *o = ((hn_watcher *)op)->operations; o != NULL; o = o->peer)
        Py_VISIT(o);
    return hn_futures_traverse(&((hn_watcher *)op)->woken, visit, arg);
}

static void dealloc(PyObject *op)
{
    hn_watcher *self = (hn_watcher *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    hn_alarm_drop(self);
    while (self->operations != NULL)
        hn_operation_lose(self->operations);
    for (hn_watcher **w = &watchers; *w != NULL; w = &(*w)->next)
        if (*w == self) {
            *w = self->next;
            break;
        }
    for (hn_future *f; (f = hn_futures_take(&self->woken)) != NULL;)
        Py_DECREF(f);
    if (self->epoll >= 0)
        close(self->epoll);
    if (self->bell >= 0)
        close(self->bell);
    PyMem_Free(self->by_fd);
    Py_CLEAR(self->loop);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyType_Slot slots[] = {
    {Py_tp_call, call},
    {Py_tp_traverse, traverse},
    {Py_tp_dealloc, dealloc},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "hypern._native.Watcher",
    .basicsize = sizeof(hn_watcher),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

int hn_watcher_ready(void)
{
    if (watcher_type == NULL)
        watcher_type = (PyTypeObject *)PyType_FromSpec(&spec);
    return watcher_type == NULL ? -1 : hn_future_type_ready();
}
