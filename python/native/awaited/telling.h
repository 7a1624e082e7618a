/* Telling tasks that what they wait for is there, at the end of their watcher's callback: no task is being
 * run then, so that they can be stepped at once, in place of a turn in the loop's queue. While one is,
 * the loop that runs in this thread is known, and whether others wait beside it. GIL held in all
 * functions, in the loop's thread.
 */
#ifndef HN_TELLING_H
#define HN_TELLING_H

#include "awaited/watcher.h"

/* What is waited for is there: have its task told, at the end of the callback that is under way, or by the
 * loop. */
void hn_telling_add(hn_watcher *watcher, hn_future *future);

/* Tell them all. NULL, or the exception that one of them ends the loop with, or a signal's handler before
 * them: then the watcher may have some left. */
PyObject *hn_telling_run(hn_watcher *watcher);

/* The watcher whose task is being stepped in this thread, borrowed; or NULL. */
hn_watcher *hn_telling_here(void);

#endif
