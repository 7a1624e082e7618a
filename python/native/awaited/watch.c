/* The descriptors that the operations of one event loop wait for. */
#include "awaited/watch.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

/* Updates the epoll. Most sockets are in it since the statement before. */
static int update(const hn_watch *self, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(self->epoll, EPOLL_CTL_MOD, fd, &event) == 0 ||
        (errno == ENOENT && epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event) == 0))
        return 0;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

int hn_watch_open(hn_watch *self, int always)
{
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll >= 0)
        return update(self, always, EPOLLIN);
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

/* A place for the descriptor in by_fd. */
static int make_place(hn_watch *self, int fd)
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

int hn_watch_arm(hn_watch *self, hn_entry *entry, int fd, short events, uint64_t socket)
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
        if (update(self, fd, wanted) < 0)
            return -1;
        place->socket = socket;
    }
    entry->armed_fd = fd;
    place->entry = entry;
    self->latest = entry;
    self->armed++;
    return 0;
}

void hn_watch_disarm(hn_watch *self, hn_entry *entry)
{
    if (entry->armed_fd < 0)
        return;
    if (self->by_fd[entry->armed_fd].entry == entry)
        self->by_fd[entry->armed_fd].entry = NULL;
    self->armed--;
    if (self->latest == entry)
        self->latest = NULL;
    entry->armed_fd = -1;
}

hn_entry *hn_watch_only_one(const hn_watch *self)
{
    return self->armed == 1 ? self->latest : NULL;
}

int hn_watch_collect(const hn_watch *self, int fds[HN_EVENTS_MAX])
{
    struct epoll_event events[HN_EVENTS_MAX];
    int n = epoll_wait(self->epoll, events, HN_EVENTS_MAX, 0);
    for (int i = 0; i < n; i++)
        fds[i] = events[i].data.fd;
    if (n >= 0 || errno == EINTR)
        return n < 0 ? 0 : n;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

hn_entry *hn_watch_take(hn_watch *self, int fd)
{
    hn_watched *place = &self->by_fd[fd];
    hn_entry *entry = place->entry;
    if (entry != NULL) {
        hn_watch_disarm(self, entry);
        return entry;
    }
    if (place->socket != 0)
        epoll_ctl(self->epoll, EPOLL_CTL_DEL, fd, NULL);
    place->socket = 0;
    return NULL;
}
