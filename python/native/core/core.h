/* The Go core in this process: loading it, its exports, and which generation of it is loaded.
 *
 * Nothing is loaded before hn_core_load(). A forked child whose parent had loaded the core loads a
 * private copy of the file, because a Go runtime does not survive fork: each such copy is a new
 * generation, and what an older generation made (handles, description ids) means nothing to it.
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

/* 0 in the process and generation that made something; else -1 with InterfaceError: it is a
 * parent's. */
int hn_core_check(uint32_t of_generation);

#endif
