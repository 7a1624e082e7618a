/* What the operations of one event loop wait for: an epoll of its own, which the loop watches. */
#include "awaited/reactor.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "awaited/loop.h"
#include "awaited/wakeups.h"
#include "core/core.h"
#include "core/fork.h"
#include "error.h"

/* How long the operations of a loop may keep it from its other work at a time. One chunk of rows
 * is decoded in any case. */
#define BUDGET (HN_MS / 2)
#define EVENTS_MAX 32
/* A call that the loop was asked for is taken for lost after this time: what a signal handler
 * raises in the loop may keep it from making one. */
#define SCHEDULED_MAX (100 * HN_MS)

/* A descriptor, by its number. */
typedef struct watched {
    hn_entry *entry; /* that waits for it; or NULL */
    uint64_t socket; /* which one is watched for input for good; 0 if none is */
} watched;

struct hn_reactor {
    PyObject_HEAD
    PyObject *loop; /* a reference */
    int epoll;
    int bell; /* an eventfd in it, for wake-ups that the loop has no memory for */
    /* A timerfd in it, for the earliest time that an operation is due. A timer of the loop that is
     * pending, though hardly one expires, has the kernel set its clock in each of the loop's waits:
     * an awaited request, whose COMMIT has a limit, took 1.06 as long on a virtual machine. */
    int clock;
    hn_time clock_at;     /* when it is set to expire, or HN_NEVER */
    unsigned long thread; /* the loop's, as last seen */
    uint32_t generation;  /* of the core: an epoll inherited through a fork is the parent's */
    bool scheduled;       /* the loop will call soon */
    hn_time scheduled_at; /* when it was asked to */
    hn_time spent;        /* when a whole budget was last used up */
    watched *by_fd;
    size_t fds;
    size_t armed;     /* how many descriptors have an entry */
    hn_entry *latest; /* the last one armed, while it is; or NULL */
    hn_wakeups wakeups;
    hn_entry *first, *last; /* ready, linked by `next_ready` */
    hn_entry *entries;      /* all, with references on their owners; linked by `peer` */
    hn_reactor *next;       /* in the list of all */
};

static PyTypeObject *reactor_type;
static hn_reactor *reactors; /* the last one used first */

/* In a forked child: the parent's are not the child's. Async-signal-safe. */
static void forget_all(void)
{
    for (hn_reactor *r = reactors; r != NULL; r = r->next) {
        close(r->epoll);
        close(r->bell);
        close(r->clock);
        r->epoll = r->bell = r->clock = -1;
    }
}

static int watch(const hn_reactor *self, int fd, uint32_t events);

static hn_reactor *new_reactor(PyObject *loop)
{
    hn_reactor *self = (hn_reactor *)reactor_type->tp_alloc(reactor_type, 0);
    if (self == NULL)
        return NULL;
    self->loop = Py_NewRef(loop);
    self->generation = hn_core_generation();
    self->wakeups.owner = self;
    self->next = reactors;
    reactors = self;
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    self->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->clock = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    self->clock_at = HN_NEVER;
    int rc = -1;
    if (self->epoll < 0 || self->bell < 0 || self->clock < 0)
        PyErr_SetFromErrno(PyExc_OSError);
    else if (watch(self, self->bell, EPOLLIN) == 0 && watch(self, self->clock, EPOLLIN) == 0)
        rc = hn_loop_watch(loop, self->epoll, (PyObject *)self);
    Py_DECREF(self); /* the loop's callback has one */
    return rc < 0 ? NULL : self;
}

/* The reactor of a running loop, borrowed. */
static hn_reactor *reactor_of(PyObject *loop)
{
    hn_reactor *w = reactors;
    hn_reactor **from = &reactors;
    while (w != NULL && (w->loop != loop || w->generation != hn_core_generation())) {
        from = &w->next;
        w = w->next;
    }
    if (w == NULL) {
        w = new_reactor(loop);
        if (w == NULL)
            return NULL;
    } else if (w != reactors) {
        *from = w->next;
        w->next = reactors;
        reactors = w;
    }
    w->thread = PyThread_get_thread_ident();
    return w;
}

hn_reactor *hn_reactor_here(void)
{
    hn_reactor *r = hn_wakeups_running();
    if (r != NULL && r->thread == PyThread_get_thread_ident() &&
        r->generation == hn_core_generation())
        return r;
    PyObject *loop = hn_loop_running();
    r = loop == NULL ? NULL : reactor_of(loop);
    Py_XDECREF(loop);
    return r;
}

PyObject *hn_reactor_loop(const hn_reactor *self)
{
    return self->loop;
}

unsigned long hn_reactor_thread(const hn_reactor *self)
{
    return self->thread;
}

void hn_reactor_add(hn_reactor *self, hn_entry *entry)
{
    Py_INCREF(entry->owner);
    entry->reactor = self;
    entry->peer = self->entries;
    entry->peer_from = &self->entries;
    if (entry->peer != NULL)
        entry->peer->peer_from = &entry->peer;
    self->entries = entry;
}

void hn_reactor_remove(hn_entry *entry)
{
    hn_reactor_disarm(entry);
    *entry->peer_from = entry->peer;
    if (entry->peer != NULL)
        entry->peer->peer_from = entry->peer_from;
    entry->reactor = NULL;
    Py_DECREF(entry->owner);
}

/* A place for the descriptor in by_fd. */
static int make_place(hn_reactor *self, int fd)
{
    if ((size_t)fd < self->fds)
        return 0;
    size_t fds = ((size_t)fd | 63) + 1;
    watched *grown = PyMem_Realloc(self->by_fd, fds * sizeof *grown);
    if (grown == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memset(grown + self->fds, 0, (fds - self->fds) * sizeof *grown);
    self->by_fd = grown;
    self->fds = fds;
    return 0;
}

/* Updates the epoll. Most sockets are in it since the statement before. */
static int watch(const hn_reactor *self, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(self->epoll, EPOLL_CTL_MOD, fd, &event) == 0 ||
        (errno == ENOENT && epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event) == 0))
        return 0;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

int hn_reactor_arm(hn_entry *entry, int fd, short events, uint64_t socket)
{
    hn_reactor *self = entry->reactor;
    if (make_place(self, fd) < 0)
        return -1;
    watched *place = &self->by_fd[fd];
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
    entry->armed_fd = fd;
    place->entry = entry;
    self->latest = entry;
    self->armed++;
    return 0;
}

static void enqueue(hn_reactor *self, hn_entry *entry)
{
    if (entry->is_ready)
        return;
    entry->is_ready = true;
    entry->next_ready = NULL;
    if (self->last == NULL)
        self->first = entry;
    else
        self->last->next_ready = entry;
    self->last = entry;
}

static void dequeue(hn_reactor *self, hn_entry *entry)
{
    hn_entry *before = NULL;
    for (hn_entry *e = self->first; e != entry; e = e->next_ready)
        before = e;
    if (before == NULL)
        self->first = entry->next_ready;
    else
        before->next_ready = entry->next_ready;
    if (self->last == entry)
        self->last = before;
    entry->is_ready = false;
}

/* The epoll is left as it is: see collect. */
void hn_reactor_disarm(hn_entry *entry)
{
    hn_reactor *self = entry->reactor;
    if (entry->armed_fd >= 0) {
        if (self->by_fd[entry->armed_fd].entry == entry)
            self->by_fd[entry->armed_fd].entry = NULL;
        self->armed--;
        if (self->latest == entry)
            self->latest = NULL;
    }
    entry->armed_fd = -1;
    if (entry->is_ready)
        dequeue(self, entry);
}

static int schedule(hn_reactor *self)
{
    if (self->scheduled)
        return 0;
    bool here = self->thread == PyThread_get_thread_ident();
    self->scheduled_at = hn_now();
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

int hn_reactor_soon(hn_entry *entry)
{
    enqueue(entry->reactor, entry);
    if (schedule(entry->reactor) == 0)
        return 0;
    hn_reactor_disarm(entry);
    return -1;
}

void hn_reactor_notify(hn_reactor *self, hn_future *future)
{
    if (hn_wakeups_add(&self->wakeups, future) < 0 && schedule(self) < 0)
        PyErr_WriteUnraisable((PyObject *)self);
}

static int set_clock(hn_reactor *self, hn_time when)
{
    if (self->clock_at <= when)
        return 0;
    if (when < 1)
        when = 1; /* 0 would unset it */
    struct itimerspec at = {
        .it_value = {.tv_sec = when / (1000 * HN_MS), .tv_nsec = when % (1000 * HN_MS)}};
    if (timerfd_settime(self->clock, TFD_TIMER_ABSTIME, &at, NULL) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    self->clock_at = when;
    return 0;
}

int hn_reactor_set_due(hn_entry *entry)
{
    return set_clock(entry->reactor, entry->due);
}

static hn_entry *first_due(const hn_reactor *self)
{
    hn_entry *first = self->entries;
    for (hn_entry *e = first; e != NULL; e = e->peer)
        if (e->due < first->due)
            first = e;
    return first;
}

/* The clock has expired. */
static int expire(hn_reactor *self)
{
    uint64_t count;
    if (read(self->clock, &count, sizeof count) < 0)
        return 0; /* it was set anew meanwhile */
    self->clock_at = HN_NEVER;
    hn_time now = hn_now();
    hn_entry *entry;
    while ((entry = first_due(self)) != NULL && entry->due <= now) {
        PyObject *owner = Py_NewRef(entry->owner);
        entry->due = HN_NEVER;
        entry->functions->late(entry);
        Py_DECREF(owner);
    }
    return entry == NULL ? 0 : set_clock(self, entry->due);
}

/* A descriptor is ready that no operation waits for: a socket whose connection another loop or a
 * thread uses now, or that the server has closed. It is watched no more. */
static void forget(hn_reactor *self, int fd)
{
    watched *place = &self->by_fd[fd];
    if (place->socket != 0)
        epoll_ctl(self->epoll, EPOLL_CTL_DEL, fd, NULL);
    place->socket = 0;
}

static int collect(hn_reactor *self)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(self->epoll, events, EVENTS_MAX, 0);
    int rc = 0;
    for (int i = 0; i < n; i++) {
        if (events[i].data.fd == self->clock) {
            rc = expire(self);
            continue;
        }
        if (events[i].data.fd == self->bell) {
            eventfd_t count;
            eventfd_read(self->bell, &count);
            self->scheduled = false;
            continue;
        }
        hn_entry *entry = self->by_fd[events[i].data.fd].entry;
        if (entry == NULL) {
            forget(self, events[i].data.fd);
        } else {
            hn_reactor_disarm(entry);
            enqueue(self, entry);
        }
    }
    if (n >= 0 || errno == EINTR)
        return rc;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

/* The epoll is readable. Where one descriptor only is waited for it must be that one, and looking
 * would be a system call for nothing: 1.03 for a lone task, pinned to one core. Whether it was. */
static bool go_on_with_the_only_one(hn_reactor *self)
{
    hn_entry *entry = self->latest;
    if (entry == NULL || self->armed != 1 || self->first != NULL || self->scheduled)
        return false;
    PyObject *owner = Py_NewRef(entry->owner);
    hn_reactor_disarm(entry);
    entry->functions->ready(entry);
    bool waits_again = entry->armed_fd >= 0;
    Py_DECREF(owner);
    return !waits_again;
}

/* Go on with what is ready, as long as the budget lasts. 0, or -1 with an exception. */
static int go_on(hn_reactor *self, bool is_scheduled)
{
    /* Straight after a whole budget this is the same turn of the loop: others first. */
    hn_time began = hn_now();
    bool is_tired = !is_scheduled && began - self->spent < BUDGET / 4;
    int rc = is_scheduled || (!is_tired && go_on_with_the_only_one(self)) ? 0 : collect(self);
    if (rc == 0 && is_tired && self->first != NULL)
        rc = schedule(self);
    hn_time until = self->first != NULL && self->first != self->last ? hn_now() + BUDGET : 0;
    /* Scheduled, it is about to be called once more: one budget for a turn of the loop is
     * enough. */
    while (rc == 0 && self->first != NULL && !self->scheduled) {
        hn_entry *next = self->first;
        dequeue(self, next);
        next->functions->ready(next);
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

/* The loop's callback: the epoll is readable, or (with an argument) it was scheduled. */
static PyObject *call(PyObject *op, PyObject *args, PyObject *kwargs)
{
    (void)kwargs;
    hn_reactor *self = (hn_reactor *)op;
    self->thread = PyThread_get_thread_ident();
    bool is_scheduled = PyTuple_GET_SIZE(args) > 0;
    if (is_scheduled || (self->scheduled && hn_now() - self->scheduled_at > SCHEDULED_MAX))
        self->scheduled = false;
    if (self->generation != hn_core_generation())
        Py_RETURN_NONE;
    Py_INCREF(self);
    hn_time spent = self->spent;
    self->wakeups.are_collected = true;
    int rc = go_on(self, is_scheduled);
    self->wakeups.are_collected = false;
    PyObject *exception = rc < 0 ? hn_exception_take() : NULL;
    PyObject *ending = hn_wakeups_run(&self->wakeups, self->loop);
    if (ending != NULL)
        Py_XSETREF(exception, ending);
    if (self->wakeups.futures.first != NULL && schedule(self) < 0) /* woken when the loop is run
                                                                      again */
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
    hn_reactor *self = (hn_reactor *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->loop);
    for (hn_entry *e = self->entries; e != NULL; e = e->peer)
        Py_VISIT(e->owner);
    return hn_futures_traverse(&self->wakeups.futures, visit, arg);
}

static void lose_all(hn_reactor *self)
{
    while (self->entries != NULL) {
        hn_entry *entry = self->entries;
        PyObject *owner = Py_NewRef(entry->owner);
        hn_reactor_remove(entry);
        entry->due = HN_NEVER;
        entry->functions->lost(entry);
        Py_DECREF(owner);
    }
}

static void dealloc(PyObject *op)
{
    hn_reactor *self = (hn_reactor *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    lose_all(self);
    for (hn_reactor **r = &reactors; *r != NULL; r = &(*r)->next)
        if (*r == self) {
            *r = self->next;
            break;
        }
    for (hn_future *f; (f = hn_futures_take(&self->wakeups.futures)) != NULL;)
        Py_DECREF(f);
    if (self->epoll >= 0)
        close(self->epoll);
    if (self->bell >= 0)
        close(self->bell);
    if (self->clock >= 0)
        close(self->clock);
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
    .name = "hypern._native.Reactor",
    .basicsize = sizeof(hn_reactor),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

int hn_reactor_ready(void)
{
    hn_at_fork(forget_all);
    if (reactor_type == NULL)
        reactor_type = (PyTypeObject *)PyType_FromSpec(&spec);
    return reactor_type == NULL ? -1 : 0;
}
