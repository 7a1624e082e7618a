/* What a forked child does: it closes inherited descriptors and forgets what is the parent's.
 *
 * The handler runs in the child before fork() returns there, with one thread left and any lock of
 * the C library or of Go possibly held by a thread that is gone. So it does only what is
 * async-signal-safe, does not call the Go runtime, and never writes to a socket: the connection is
 * the parent's, and a Terminate message from here would end it.
 */
#include "core/fork.h"

#include <assert.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Made once and kept through every generation. */
static hn_fd *table;

#define TABLE_SIZE (HN_FD_SLOTS * sizeof(hn_fd) + sizeof(uint64_t))
#define FUNCTIONS_MAX 8

/* Registered while the module is made, with the GIL held. */
static void (*functions[FUNCTIONS_MAX])(void);
static size_t function_count;

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
    close_inherited();
    for (size_t i = 0; i < function_count; i++)
        functions[i]();
}

void hn_at_fork(void (*function)(void))
{
    for (size_t i = 0; i < function_count; i++)
        if (functions[i] == function)
            return;
    assert(function_count < FUNCTIONS_MAX);
    functions[function_count++] = function;
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
