/* Goes on with an awaited operation whose engine can. */
#include "awaited/steps.h"

#include "awaited/life.h"
#include "engine/many.h"
#include "engine/step.h"

int hn_operation_set_due(hn_operation *self)
{
    const hn_engine *e = self->driver.engine;
    self->entry.due = hn_driver_due(&self->driver);
    if (e != NULL && e->need == HN_NEED_WAIT && e->need_until < self->entry.due)
        self->entry.due = e->need_until;
    return hn_reactor_set_due(&self->entry);
}

bool hn_operation_advance(hn_operation *self, hn_wake wake, int block_ms)
{
    if (self->context != NULL && PyContext_Enter(self->context) < 0)
        PyErr_WriteUnraisable(self->context);
    hn_progress progress = hn_engine_advance(self->driver.engine, wake, block_ms);
    if (self->context != NULL && PyContext_Exit(self->context) < 0)
        PyErr_WriteUnraisable(self->context);
    return progress == HN_OVER;
}

/* Has the loop come back to it. The socket may stay watched for the next statement, unless it has a
 * long result, and is readable while others have their turn. */
void hn_operation_wait(hn_operation *self)
{
    const hn_engine *e = self->driver.engine;
    self->inside = 0;
    int rc = 0;
    if (e->need == HN_NEED_ROWS)
        hn_operation_wake_task(self);
    else if (e->need == HN_NEED_LOOK_UP)
        rc = hn_reactor_soon(&self->entry);
    else
        rc = hn_reactor_arm(&self->entry, e->need_fd, e->need_events,
                            e->io.rows != 0 ? 0 : e->call.socket);
    if (rc < 0 || hn_operation_set_due(self) < 0)
        hn_operation_abandon(self);
}

void hn_operation_go_on(hn_operation *self, hn_wake wake)
{
    hn_reactor_disarm(&self->entry);
    self->inside = PyThread_get_thread_ident();
    if (hn_operation_advance(self, wake, 0))
        hn_operation_conclude(self);
    else
        hn_operation_wait(self);
}

bool hn_operation_needs_rows(const hn_operation *self)
{
    const hn_engine *e = self->driver.engine;
    return self->phase == HN_PHASE_RUNNING && e != NULL && e->need == HN_NEED_ROWS;
}

void hn_operation_feed(hn_operation *self, PyObject *rows, bool more)
{
    if (rows == NULL || hn_many_take(self->driver.engine, rows, more) < 0)
        hn_engine_raise(self->driver.engine);
    hn_operation_go_on(self, HN_WAKE_READY);
}
