/* What happens in a forked child: the parent's sockets are closed and its core is forgotten.
 *
 * The handler runs in the child before fork() returns there, with one thread left and any lock of
 * the C library or of Go possibly held by a thread that is gone. So it does only what is
 * async-signal-safe, asks the Go runtime nothing, and never writes to a socket: the connection is
 * the parent's, and a Terminate message from here would end it.
 */
#include "awaited/watcher.h"
#include "core/core.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Written by Go before connect returns, and by C for descriptors of its own; read here. Made once,
 * kept through every generation. */
static hn_fd *table;

#define TABLE_SIZE (HN_FD_SLOTS * sizeof(hn_fd) + sizeof(uint64_t))

uint64_t *hn_fork_used(void)
{
    return &table[HN_FD_SLOTS].ino;
}

static void close_inherited(void)
{
    uint64_t used = __atomic_load_n(hn_fork_used(), __ATOMIC_ACQUIRE);
    for (size_t i = 0; i < used; i++) {
        uint64_t ino = __atomic_load_n(&table[i].ino, __ATOMIC_ACQUIRE);
        if (ino == 0)
            continue;
        /* A descriptor closed by the parent just before the fork may by now be another file's. */
        struct stat st;
        if (fstat((int)i, &st) == 0 && (uint64_t)st.st_ino == ino)
            close((int)i);
        __atomic_store_n(&table[i].ino, 0, __ATOMIC_RELEASE);
    }
}

static void in_child(void)
{
    if (!hn_core_forget())
        return;
    close_inherited();
    hn_engine_forget_spares();
    hn_watcher_forget();
}

void hn_fork_watch(int fd)
{
    struct stat st;
    if (fd < 0 || (unsigned)fd >= HN_FD_SLOTS || fstat(fd, &st) != 0)
        return;
    uint64_t used = __atomic_load_n(hn_fork_used(), __ATOMIC_ACQUIRE);
    while (used <= (uint64_t)fd &&
           !__atomic_compare_exchange_n(hn_fork_used(), &used, (uint64_t)fd + 1, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        continue;
    __atomic_store_n(&table[fd].ino, (uint64_t)st.st_ino, __ATOMIC_RELEASE);
}

void hn_fork_unwatch(int fd)
{
    if (fd >= 0 && (unsigned)fd < HN_FD_SLOTS)
        __atomic_store_n(&table[fd].ino, 0, __ATOMIC_RELEASE);
}

hn_fd *hn_fork_table(void)
{
    if (table != NULL)
        return table;
    /* Zero pages until used, and no lock of malloc behind them. */
    void *pages = mmap(NULL, TABLE_SIZE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return NULL;
    if (pthread_atfork(NULL, NULL, in_child) != 0) {
        munmap(pages, TABLE_SIZE);
        return NULL;
    }
    table = pages;
    return table;
}
