/* Blocking calls that would stop what they wait for: in the thread of an event loop whose tasks
 * hold the connections, or of a hub of gevent's or eventlet's. hypern/_standstill.py decides. GIL
 * held. */
#ifndef HN_STANDSTILL_H
#define HN_STANDSTILL_H

/* Registers the checks with the blocking driver. Called when a pool is first used in a process:
 * whether one of those libraries has patched it is looked up then. 0, or -1 with an exception. */
int hn_standstill_look(void);

#endif
