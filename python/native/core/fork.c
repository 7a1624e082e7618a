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
#include <time.h>
#include <unistd.h>

/* Made once and kept through every generation. */
static hn_fd *table;

#define TABLE_SIZE (HN_FD_SLOTS * sizeof(hn_fd) + 2 * sizeof(uint64_t))
#define FUNCTIONS_MAX 8

/* Registered while the module is made, with the GIL held. */
static void (*functions[FUNCTIONS_MAX])(void);
static size_t function_count;

uint64_t *hn_fork_used(void)
{
    return &table[HN_FD_SLOTS].ino;
}

uint64_t *hn_fork_gate(void)
{
    return &table[HN_FD_SLOTS + 1].ino;
}

#define FORKING ((uint64_t)1 << 32)
/* A thread of Go's may have to wait for a processor between opening a descriptor and entering it in
 * the table. It needs nothing that the forking thread holds; the bound is a precaution. */
#define GATE_LOOKS 1000
#define GATE_LOOK_NS 100000

static void before_fork(void)
{
    __atomic_add_fetch(hn_fork_gate(), FORKING, __ATOMIC_SEQ_CST);
    for (int looks = 0; looks < GATE_LOOKS; looks++) {
        if ((uint32_t)__atomic_load_n(hn_fork_gate(), __ATOMIC_SEQ_CST) == 0)
            return;
        struct timespec pause = {.tv_nsec = GATE_LOOK_NS};
        nanosleep(&pause, NULL);
    }
}

static void in_parent(void)
{
    __atomic_sub_fetch(hn_fork_gate(), FORKING, __ATOMIC_SEQ_CST);
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
    __atomic_store_n(hn_fork_gate(), 0, __ATOMIC_SEQ_CST); /* no other thread is left */
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
    void *pages =
        mmap(NULL, TABLE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return NULL;
    table = pages; /* for the handlers */
    if (pthread_atfork(before_fork, in_parent, in_child) != 0) {
        table = NULL;
        munmap(pages, TABLE_SIZE);
        return NULL;
    }
    return table;
}
