/* Goes on with the operations of one event loop when what they wait for is there. */
#include "awaited/reactor.h"

#include <unistd.h>

#include "awaited/clock.h"
#include "awaited/loop.h"
#include "awaited/wakeups.h"
#include "awaited/watch.h"
#include "core/core.h"
#include "core/fork.h"
#include "error.h"

/* How long the operations of a loop may keep it from its other work at a time. One chunk of rows
 * is decoded in any case. */
#define BUDGET (HN_MS / 2)
/* A call that the loop was asked for is taken for lost after this time: what a signal handler
 * raises in the loop may keep it from making one. */
#define SCHEDULED_MAX (100 * HN_MS)

struct hn_reactor {
    PyObject_HEAD
    PyObject *loop; /* a reference */
    hn_watch watch;
    hn_clock clock;
    hn_entries entries;
    hn_wakeups wakeups;
    unsigned long thread; /* the loop's, as last seen */
    uint32_t generation;  /* of the core: an epoll inherited through a fork is the parent's */
    bool scheduled;       /* the loop will call soon */
    hn_time scheduled_at; /* when it was asked to */
    hn_time spent;        /* when a whole budget was last used up */
    hn_reactor *next;     /* in the list of all */
};

static PyTypeObject *reactor_type;
static hn_reactor *reactors; /* the last one used first */

static void close_files(hn_reactor *self)
{
    if (self->watch.epoll >= 0)
        close(self->watch.epoll);
    if (self->clock.fd >= 0)
        close(self->clock.fd);
    self->watch.epoll = self->clock.fd = -1;
}

/* In a forked child: the parent's are not the child's. Async-signal-safe. */
static void forget_all(void)
{
    for (hn_reactor *r = reactors; r != NULL; r = r->next)
        close_files(r);
}

static hn_reactor *new_reactor(PyObject *loop)
{
    hn_reactor *self = (hn_reactor *)reactor_type->tp_alloc(reactor_type, 0);
    if (self == NULL)
        return NULL;
    self->loop = Py_NewRef(loop);
    self->watch.epoll = self->clock.fd = -1;
    self->generation = hn_core_generation();
    self->wakeups.owner = self;
    self->next = reactors;
    reactors = self;
    int rc = -1;
    if (hn_clock_open(&self->clock) == 0 && hn_watch_open(&self->watch, self->clock.fd) == 0)
        rc = hn_loop_watch(loop, self->watch.epoll, (PyObject *)self);
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
    entry->reactor = self;
    hn_entries_add(&self->entries, entry);
}

void hn_reactor_remove(hn_entry *entry)
{
    hn_reactor_disarm(entry);
    hn_entries_remove(entry);
}

int hn_reactor_arm(hn_entry *entry, int fd, short events, uint64_t socket)
{
    return hn_watch_arm(&entry->reactor->watch, entry, fd, events, socket);
}

void hn_reactor_disarm(hn_entry *entry)
{
    hn_watch_disarm(&entry->reactor->watch, entry);
    hn_entries_dequeue(&entry->reactor->entries, entry);
}

/* Where the loop has no memory for a call, the clock has the epoll wake it. */
static int schedule(hn_reactor *self)
{
    if (self->scheduled)
        return 0;
    bool here = self->thread == PyThread_get_thread_ident();
    self->scheduled_at = hn_now();
    self->scheduled = true; /* first: the loop's thread may be there before the call returns */
    if (hn_loop_soon(self->loop, (PyObject *)self, here) == 0)
        return 0;
    self->scheduled = false;
    if (!PyErr_ExceptionMatches(PyExc_MemoryError))
        return -1;
    PyErr_Clear();
    return hn_clock_set(&self->clock, hn_now());
}

int hn_reactor_soon(hn_entry *entry)
{
    hn_entries_enqueue(&entry->reactor->entries, entry);
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

int hn_reactor_set_due(hn_entry *entry)
{
    return hn_clock_set(&entry->reactor->clock, entry->due);
}

/* The clock is readable. */
static int expire(hn_reactor *self)
{
    if (!hn_clock_has_expired(&self->clock))
        return 0;
    hn_time now = hn_now();
    hn_entry *entry;
    while ((entry = hn_entries_first_due(&self->entries)) != NULL && entry->due <= now) {
        PyObject *owner = Py_NewRef(entry->owner);
        entry->due = HN_NEVER;
        entry->functions->late(entry);
        Py_DECREF(owner);
    }
    return entry == NULL ? 0 : hn_clock_set(&self->clock, entry->due);
}

/* The epoll may be readable. 0, or -1 with an exception. */
static int collect(hn_reactor *self)
{
    int fds[HN_EVENTS_MAX], n = hn_watch_collect(&self->watch, fds);
    int rc = n < 0 ? -1 : 0;
    for (int i = 0; i < n; i++) {
        hn_entry *entry = NULL;
        if (fds[i] == self->clock.fd)
            rc = expire(self);
        else
            entry = hn_watch_take(&self->watch, fds[i]);
        if (entry != NULL)
            hn_entries_enqueue(&self->entries, entry);
    }
    return rc;
}

/* The epoll is readable: whether that was about the only entry that waits. */
static bool go_on_with_the_only_one(hn_reactor *self)
{
    hn_entry *entry = hn_watch_only_one(&self->watch);
    if (entry == NULL || self->entries.first != NULL || self->scheduled)
        return false;
    PyObject *owner = Py_NewRef(entry->owner);
    hn_watch_disarm(&self->watch, entry);
    entry->functions->ready(entry);
    bool waits_again = entry->armed_fd >= 0;
    Py_DECREF(owner);
    return !waits_again;
}

/* Go on with what is ready, as long as the budget lasts. 0, or -1 with an exception. */
static int go_on(hn_reactor *self, bool is_scheduled)
{
    hn_entries *entries = &self->entries;
    /* Straight after a whole budget this is the same turn of the loop: others first. */
    hn_time began = hn_now();
    bool is_tired = !is_scheduled && began - self->spent < BUDGET / 4;
    int rc = is_scheduled || (!is_tired && go_on_with_the_only_one(self)) ? 0 : collect(self);
    if (rc == 0 && is_tired && entries->first != NULL)
        rc = schedule(self);
    hn_time until = entries->first != entries->last ? hn_now() + BUDGET : 0;
    /* Scheduled, it is about to be called once more: one budget for a turn of the loop is
     * enough. */
    while (rc == 0 && entries->first != NULL && !self->scheduled) {
        hn_entry *next = entries->first;
        hn_entries_dequeue(entries, next);
        next->functions->ready(next);
        if (entries->first != NULL && hn_now() >= until)
            break;
    }
    if (rc == 0 && entries->first != NULL)
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
    for (hn_entry *e = self->entries.all; e != NULL; e = e->peer)
        Py_VISIT(e->owner);
    return hn_futures_traverse(&self->wakeups.futures, visit, arg);
}

static void lose_all(hn_reactor *self)
{
    hn_entry *entry;
    while ((entry = self->entries.all) != NULL) {
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
    close_files(self);
    PyMem_Free(self->watch.by_fd);
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
