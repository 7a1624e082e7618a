/* Blocking calls that would stop what they wait for: in the thread of an event loop whose tasks hold
 * the connections, or of a hub of gevent's or eventlet's. hypern/_standstill.py decides. GIL held. */
#ifndef HN_STANDSTILL_H
#define HN_STANDSTILL_H

#include "engine/engine.h"
#include "native.h"

/* Whether one of those libraries has patched this process; looked up when a pool is first used in it. */
extern bool hn_standstill_patched;
int hn_standstill_look(void);

/* A blocking call begins in a patched process. 0, or -1 with InterfaceError: not in this thread. */
int hn_standstill_refuse_hub(void);

/* A thread is about to sleep in the pool's queue. 0, or -1 with InterfaceError: that cannot end, since
 * the thread runs an event loop whose own requests hold all connections. */
int hn_standstill_refuse_wait(hn_engine *engine);

#endif
