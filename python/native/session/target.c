/* What an operation works on. */
#include "session/target.h"

#include "core/core.h"

int hn_target_check(const hn_target *self)
{
    return hn_core_check(self->generation);
}

bool hn_target_is_here(const hn_target *self)
{
    return self->generation == hn_core_generation() && hn_core_loaded();
}

void hn_target_forget_stream(hn_target *self)
{
    self->stream.number = 0;
    Py_CLEAR(self->stream.sql);
    if (self->stream.description != NULL)
        hn_description_unref(self->stream.description);
    self->stream.description = NULL;
}

void hn_target_clear(hn_target *self)
{
    hn_target_forget_stream(self);
    hn_buf_free(&self->ahead);
}
