/* Whether the limits of this process leave room for a Go runtime, which would abort the process. */
#include "core/limits.h"

#include "native.h" /* first: it requests all of the C library */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
/* Measured: a runtime reserves 0.9 GiB of address space and uses a few MiB of it, with a handful of
 * threads. The rest is for more threads and for its heap. */
#define ADDRESS_SPACE (1280 * MIB)
#define WRITABLE (96 * MIB)
#define THREADS 8
#define DESCRIPTORS 16

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

static int can_map(size_t size, int protection)
{
    void *at = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return 0;
    munmap(at, size);
    return 1;
}

static void *wait_for_the_others(void *gate)
{
    pthread_mutex_lock(gate); /* held until all have been made */
    pthread_mutex_unlock(gate);
    return NULL;
}

/* How many of the threads could be made, all at a time. */
static int try_threads(int *error)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_t threads[THREADS];
    int made = 0;
    *error = 0;
    pthread_mutex_lock(&gate);
    while (made < THREADS && *error == 0) {
        *error = pthread_create(&threads[made], NULL, wait_for_the_others, &gate);
        made += *error == 0;
    }
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < made; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&gate);
    return made;
}

static int try_descriptors(void)
{
    int fds[DESCRIPTORS], made = 0;
    while (made < DESCRIPTORS && (fds[made] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        made++;
    int error = made < DESCRIPTORS ? errno : 0;
    for (int i = 0; i < made; i++)
        close(fds[i]);
    return error;
}

int hn_limits_try(char *why, size_t size)
{
    int error;
    if (!can_map(ADDRESS_SPACE, PROT_NONE) || !can_map(WRITABLE, PROT_READ | PROT_WRITE)) {
        (void)snprintf(
            why, size,
            "this process may not map the address space that a Go runtime reserves (1.25 GiB; "
            "little of it is used): raise RLIMIT_AS and RLIMIT_DATA (ulimit -v, ulimit -d), "
            "and limit memory by a control group instead");
        return -1;
    }
    int made = try_threads(&error);
    if (made < THREADS) {
        (void)snprintf(
            why, size,
            "this process can make %d more threads, and a Go runtime needs %d (%s): raise "
            "RLIMIT_NPROC (ulimit -u) or the control group's pids.max",
            made, THREADS, strerror(error));
        return -1;
    }
    error = try_descriptors();
    if (error != 0) {
        (void)snprintf(why, size,
                       "this process can open fewer than %d more files (%s): raise RLIMIT_NOFILE "
                       "(ulimit -n), or look for files that are not closed",
                       DESCRIPTORS, strerror(error));
        return -1;
    }
    return 0;
}
