/* The Go core in this process: loading it, its exports, and which generation of it is loaded. */
#include "core/core.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#include <elf.h>
#include <linux/memfd.h>
#include <sys/syscall.h>
#endif

#include "core/fork.h"
#include "core/limits.h"
#include "error.h"

#ifndef HN_FINGERPRINT
#error "HN_FINGERPRINT: the build passes the SHA-256 of go/abi/hypern_abi.h"
#endif

#define CORE_FILE "libhypern_core.so"
#define CUT_SHORT "%s is cut short; reinstall hypern"

hn_exports hn_go;

/* Go's threads inherit the loading thread's timer slack. Its monitor thread sleeps 20 us at a time
 * while statements run, and each time takes the processor that the caller is about to need:
 * with slack the kernel lets it sleep up to 10 ms, and costs a statement nothing. Go's own timers
 * (dialing, idle connections) may be that much late. docs/performance.md has the figures. */
#define RUNTIME_TIMER_SLACK 10000000UL /* nanoseconds */

static char *core_path;     /* absolute; set at import, never freed */
static bool loaded;         /* hn_go is filled and the core has booted */
static bool parent_loaded;  /* an ancestor had loaded the file: only a copy will do here */
static bool failed;         /* a load in this generation went wrong after dlopen: not tried again */
static uint32_t generation; /* see hn_core_generation */

bool hn_core_loaded(void)
{
    return loaded;
}

uint32_t hn_core_generation(void)
{
    return generation;
}

int hn_core_check(uint32_t of_generation)
{
    if (of_generation == generation && loaded)
        return 0;
    return hn_raise("InterfaceError",
                    "this session belongs to the process that opened it, before a fork; "
                    "call db() in this process for one of its own");
}

/* In a forked child: the parent's core is not the child's. */
static void forget(void)
{
    if (!loaded && !failed)
        return;
    loaded = failed = false;
    parent_loaded = true;
    generation++;
}

int hn_core_locate(PyObject *module)
{
    hn_at_fork(forget);
    PyObject *file = PyObject_GetAttrString(module, "__file__");
    if (file == NULL)
        return -1;
    PyObject *bytes = NULL;
    int ok = PyUnicode_FSConverter(file, &bytes);
    Py_DECREF(file);
    if (!ok)
        return -1;
    char *path = realpath(PyBytes_AS_STRING(bytes), NULL);
    Py_DECREF(bytes);
    if (path == NULL) {
        PyErr_SetFromErrno(PyExc_ImportError);
        return -1;
    }
    char *slash = strrchr(path, '/');
    size_t dir = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    char *whole = malloc(dir + sizeof CORE_FILE);
    if (whole == NULL) {
        free(path);
        PyErr_NoMemory();
        return -1;
    }
    memcpy(whole, path, dir);
    memcpy(whole + dir, CORE_FILE, sizeof CORE_FILE);
    free(path);
    free(core_path);
    core_path = whole;
    return 0;
}

#if defined(__linux__) && defined(__LP64__)
/* Whether the file is as long as its headers claim: the kernel ends a process that reads a mapping
 * beyond the end of its file. A file that is no such library is refused by dlopen. */
static bool is_whole(int fd)
{
    Elf64_Ehdr head;
    struct stat st;
    if (fstat(fd, &st) != 0 || pread(fd, &head, sizeof head, 0) != (ssize_t)sizeof head ||
        memcmp(head.e_ident, ELFMAG, SELFMAG) != 0)
        return true;
    uint64_t size = (uint64_t)st.st_size;
    if (head.e_shoff > size || (uint64_t)head.e_shnum * head.e_shentsize > size - head.e_shoff)
        return false;
    for (uint64_t i = 0; i < head.e_phnum; i++) {
        Elf64_Phdr part;
        off_t at = (off_t)(head.e_phoff + i * head.e_phentsize);
        if (pread(fd, &part, sizeof part, at) != (ssize_t)sizeof part || part.p_offset > size ||
            part.p_filesz > size - part.p_offset)
            return false;
    }
    return true;
}
#else
static bool is_whole(int fd)
{
    (void)fd;
    return true;
}
#endif

static bool is_file_whole(const char *path, char *why, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool whole = fd >= 0 && is_whole(fd);
    if (fd < 0)
        (void)snprintf(why, size, "%s", strerror(errno));
    else if (!whole)
        (void)snprintf(why, size, CUT_SHORT, path);
    if (fd >= 0)
        close(fd);
    return whole;
}

#ifdef __linux__
/* An open descriptor of a file without a name that can hold a copy, or -1 with errno. */
static int nameless_file(bool in_memory)
{
    if (in_memory) /* memfd_create() needs glibc 2.27, and the wheels support 2.17 */
        return (int)syscall(SYS_memfd_create, "hypern_core", MFD_CLOEXEC);
    const char *dir = getenv("TMPDIR");
    char name[4096];
    int n = snprintf(name, sizeof name, "%s/hypern-XXXXXX", dir != NULL && *dir ? dir : "/tmp");
    if (n < 0 || (size_t)n >= sizeof name) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0)
        unlink(name);
    return fd;
}

static int copy_file(int from, int to)
{
    static char chunk[1 << 16]; /* the GIL is held */
    for (;;) {
        ssize_t n = read(from, chunk, sizeof chunk);
        if (n == 0)
            return 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        for (ssize_t done = 0; done < n;) {
            ssize_t w = write(to, chunk + done, (size_t)(n - done));
            if (w < 0 && errno != EINTR)
                return -1;
            done += w < 0 ? 0 : w;
        }
    }
}

/* dlopen a copy of the file that no other load in this process or its ancestors shares. */
static void *open_copy(bool in_memory, char *why, size_t size)
{
    int from = open(core_path, O_RDONLY | O_CLOEXEC);
    if (from < 0) {
        (void)snprintf(why, size, "%s", strerror(errno));
        return NULL;
    }
    int fd = nameless_file(in_memory);
    if (fd < 0 || copy_file(from, fd) < 0) {
        (void)snprintf(why, size, "no private copy: %s", strerror(errno));
        close(from);
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    close(from);
    if (!is_whole(fd)) { /* it was being replaced */
        (void)snprintf(why, size, CUT_SHORT, core_path);
        close(fd);
        return NULL;
    }
    /* dlopen takes a known path for the library that is loaded from it, and descriptor numbers come
     * back: an ancestor's copy may have had this one. Then another number is taken. */
    int spare[64];
    size_t spares = 0;
    void *library = NULL;
    char path[64];
    for (;;) {
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (dlopen(path, RTLD_LAZY | RTLD_NOLOAD) == NULL) {
            library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
            break;
        }
        int another = spares < 64 ? fcntl(fd, F_DUPFD_CLOEXEC, fd + 1) : -1;
        if (another < 0)
            break;
        spare[spares++] = fd;
        fd = another;
    }
    const char *error = library == NULL ? dlerror() : NULL;
    if (library == NULL)
        (void)snprintf(why, size, "%s", error != NULL ? error : "no free name for a private copy");
    close(fd); /* the mapping keeps the file */
    while (spares > 0)
        close(spare[--spares]);
    return library;
}
#endif

static void *open_core(char *why, size_t size)
{
    if (!is_file_whole(core_path, why, size))
        return NULL;
#ifdef __linux__
    if (parent_loaded) {
        void *library = open_copy(true, why, size);
        return library != NULL ? library : open_copy(false, why, size);
    }
#endif
    void *library = dlopen(core_path, RTLD_NOW | RTLD_LOCAL);
    const char *error = library == NULL ? dlerror() : NULL;
    if (library == NULL)
        (void)snprintf(why, size, "%s", error != NULL ? error : "unknown error");
    return library;
}

/* Look up the exports, compare the fingerprint, start the core. NULL, or what is wrong. */
static const char *start_core(void *library)
{
    hn_exports found;
#define X(result, name, args)                                                                      \
    {                                                                                              \
        void *symbol = dlsym(library, #name);                                                      \
        if (symbol == NULL)                                                                        \
            return "it lacks " #name "; reinstall hypern";                                         \
        memcpy(&found.name, &symbol, sizeof symbol);                                               \
    }
    HN_EXPORTS(X)
#undef X
    const char *fingerprint = found.hypern_abi();
    if (fingerprint == NULL || strcmp(fingerprint, HN_FINGERPRINT) != 0)
        return "it was built for another version of the extension (was hypern upgraded while this "
               "process ran?); restart the process, or reinstall hypern";
    hn_boot boot = {.fds = hn_fork_table(),
                    .used = hn_fork_used(),
                    .gate = hn_fork_gate(),
                    .nfds = HN_FD_SLOTS,
                    .generation = generation};
    if (found.hypern_boot(&boot) != 0)
        return "it did not start";
    hn_go = found;
    return NULL;
}

int hn_core_load(void)
{
    if (loaded)
        return 0;
#if defined(__linux__) && !defined(__GLIBC__)
    return hn_raise("CoreUnavailable", "musl libc cannot load hypern's core, a Go shared library "
                                       "(golang/go#54805); use an image with glibc");
#endif
    if (failed)
        return hn_raise("CoreUnavailable", "hypern's core failed to start in this process; "
                                           "see the first error, and restart the process");
    if (access(core_path, R_OK) != 0)
        return hn_raise("CoreUnavailable", "hypern's core cannot be read: %s: %s; reinstall hypern",
                        core_path, strerror(errno));
    if (hn_fork_table() == NULL)
        return hn_raise("CoreUnavailable", "no memory for the core's table of descriptors");
    /* Go's threads inherit the mask of the thread that loads them, and must take no signal that
     * Python's main thread waits for. */
    char why[512] = "";
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int slack = prctl(PR_GET_TIMERSLACK);
    prctl(PR_SET_TIMERSLACK, RUNTIME_TIMER_SLACK);
    void *library = hn_limits_try(why, sizeof why) < 0 ? NULL : open_core(why, sizeof why);
    const char *wrong = library == NULL ? why : start_core(library);
    prctl(PR_SET_TIMERSLACK, (unsigned long)slack);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (wrong != NULL) {
        failed = library != NULL;
        return hn_raise("CoreUnavailable", "hypern's core cannot be loaded: %s", wrong);
    }
    loaded = true;
    return 0;
}
