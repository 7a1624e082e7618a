/* The Go core in this process: loading it, its exports, and which generation of it is loaded.
 *
 * Nothing is loaded before hn_core_load(). A forked child whose parent had loaded the core loads a
 * private copy of the file, because a Go runtime does not survive fork: each such copy is a new
 * generation, and what an older generation made (handles, plan ids) means nothing to it.
 */
#ifndef HN_CORE_H
#define HN_CORE_H

#include "native.h"

/* The exports, by the names of the header: hn_go.hypern_step(...). Valid while hn_core_loaded(). */
typedef struct hn_exports {
#define X(result, name, args) result(*name) args;
    HN_EXPORTS(X)
#undef X
} hn_exports;

extern hn_exports hn_go;

/* Where the core's file lies: beside the extension. Called once, by the module's start. */
int hn_core_locate(PyObject *module);

/* Load the core if this process has not. 0, or -1 with CoreUnavailable. The GIL is held throughout,
 * so that no Python thread can fork while the loader works. */
int hn_core_load(void);

bool hn_core_loaded(void);

/* Which load of the core this process is at: 0 in the first, one more after each fork of a process
 * that had loaded it. */
uint32_t hn_core_generation(void);

/* fork.c: the table of descriptors that a forked child must close, and the child's handler. */
#define HN_FD_SLOTS (1u << 20) /* the kernel's own limit, unless fs.nr_open is raised */
hn_fd *hn_fork_table(void); /* made on the first call, with the handler; NULL: no memory */
uint64_t *hn_fork_used(void); /* behind it: how many of its places have ever been used */
uint64_t *hn_fork_gate(void); /* behind that: hn_boot's */
/* Have a descriptor closed in a forked child; no longer. The core is loaded. */
void hn_fork_watch(int fd);
void hn_fork_unwatch(int fd);

/* 0 in the process and generation that made something; else -1 with InterfaceError: it is a parent's. */
int hn_core_check(uint32_t of_generation);

/* core.c, for the child's handler: forget the parent's core; whether there was one to forget.
 * Async-signal-safe. */
bool hn_core_forget(void);

/* engine.c, likewise: the parent's spare engines are not the child's. Async-signal-safe. */
void hn_engine_forget_spares(void);

#endif
