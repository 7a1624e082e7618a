/* The blocking driver: runs an operation to its end on the calling thread, with the GIL released in
 * every wait, and turns interrupts and deadlines into a cancelled statement. */
#ifndef HN_DRIVE_H
#define HN_DRIVE_H

#include "engine/engine.h"

/* Drives an operation that has been started. A new reference, or NULL with an exception. */
PyObject *hn_drive(hn_engine *engine, hn_time deadline);

#endif
