/* A view of one of the core's sessions: the first part of a Session, without the Python type.
 *
 * The view is (generation of the core, handle) and nothing more that decides. There is one view for
 * each open session in a process; the index finds it.
 */
#ifndef HN_VIEW_H
#define HN_VIEW_H

#include "native.h"
#include "session/lock.h"
#include "session/target.h"

typedef struct hn_view {
    PyObject_HEAD
    hn_target target; /* its owner is this object */
    PyObject *request_id;
    PyObject *label; /* the scope's, str; or NULL */
    bool reads;      /* it only reads: a request may have one that does and one that does not */
    struct hn_view *next; /* the index's: another of the request's sessions, a reference; or NULL */
    hn_lock lock;         /* held for one operation */
    unsigned finalizing;  /* awaited FINALIZEs that have begun and are not over */
} hn_view;

#endif
