/* One whole operation of a blocking call, under the session's lock. */
#ifndef HN_RUN_H
#define HN_RUN_H

#include "engine/state.h"
#include "session/view.h"

/* Runs it. A new reference, or NULL with an exception. */
PyObject *hn_run(hn_view *session, const hn_request *request, hn_time deadline);

/* Runs FINALIZE. Another thread's operation may go on until then, and is cancelled. */
PyObject *hn_run_finalize(hn_view *session, hn_time until);

#endif
