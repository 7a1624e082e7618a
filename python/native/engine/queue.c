/* Threads that wait in a pool's queue, and how the giver of a connection spares them a wake-up. */
#include "engine/queue.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/core.h"

/* Those that wait, in order of arrival, linked by `next`: the giver's one is at the front. */
static hn_engine *first, **last = &first;

static int always; /* a descriptor that is always readable; 0: not made yet */

void hn_queue_forget(void)
{
    first = NULL;
    last = &first;
}

/* Make the engine's epoll, which is kept as the engine is. Without one nothing but time is lost. */
static void prepare(hn_engine *e)
{
    if (always == 0 && (always = eventfd(1, EFD_CLOEXEC)) < 0)
        always = 0;
    int epoll = always == 0 ? -1 : epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        return;
    e->epoll = epoll;
    e->generation = hn_core_generation();
    hn_fork_watch(epoll);
}

static bool is_prepared(const hn_engine *e)
{
    return e->epoll > 0 && e->generation == hn_core_generation();
}

uint64_t hn_queue_home(hn_engine *e, hn_op op)
{
    return op == HN_OP_FINALIZE || is_prepared(e) ? HN_HOME_THREADS : HN_HOME_NONE;
}

void hn_queue_add(hn_engine *e)
{
    if (e->call.socket == 0 || e->call.home > HN_HOME_THREADS)
        return; /* no place in a queue, or a task's */
    if (!is_prepared(e)) {
        prepare(e); /* for the next time: the core has been told that this one has none */
        return;
    }
    if (e->call.home != HN_HOME_THREADS)
        return;
    e->is_queued = true;
    e->next = NULL;
    *last = e;
    last = &e->next;
}

void hn_queue_remove(hn_engine *e)
{
    hn_engine **from = &first;
    if (!e->is_queued)
        return;
    e->is_queued = false;
    while (*from != NULL && *from != e)
        from = &(*from)->next;
    if (*from == NULL)
        return; /* it was the parent's queue: a signal's handler has forked */
    *from = e->next;
    if (e->next == NULL)
        last = from;
}

bool hn_queue_told(int fd)
{
    hn_engine *e = first;
    while (e != NULL && e->call.fd != fd)
        e = e->next;
    if (e == NULL)
        return false;
    hn_queue_awake(e); /* told before, it has to wait again, which its thread does not know yet */
    /* Where there is more to do than to send, its own thread has to do it. */
    e->watched = hn_engine_told(e) ? e->io.fd : always;
    struct epoll_event event = {.events = EPOLLIN};
    /* Should the kernel refuse, its thread looks at its next tick. */
    epoll_ctl(e->epoll, EPOLL_CTL_ADD, e->watched, &event);
    return true;
}

int hn_queue_epoll(const hn_engine *e) { return e->is_queued ? e->epoll : -1; }

void hn_queue_awake(hn_engine *e)
{
    if (e->watched != 0 && is_prepared(e))
        epoll_ctl(e->epoll, EPOLL_CTL_DEL, e->watched, NULL);
    e->watched = 0;
}

void hn_queue_free(hn_engine *e)
{
    if (!is_prepared(e))
        return;
    hn_fork_unwatch(e->epoll);
    close(e->epoll);
    e->epoll = 0;
}
