/* The operations of one event loop, as its reactor sees them. */
#include "awaited/entries.h"

void hn_entries_add(hn_entries *self, hn_entry *entry)
{
    Py_INCREF(entry->owner);
    entry->peer = self->all;
    entry->peer_from = &self->all;
    if (entry->peer != NULL)
        entry->peer->peer_from = &entry->peer;
    self->all = entry;
}

void hn_entries_remove(hn_entry *entry)
{
    *entry->peer_from = entry->peer;
    if (entry->peer != NULL)
        entry->peer->peer_from = entry->peer_from;
    entry->reactor = NULL;
    Py_DECREF(entry->owner);
}

void hn_entries_enqueue(hn_entries *self, hn_entry *entry)
{
    if (entry->is_ready)
        return;
    entry->is_ready = true;
    entry->next_ready = NULL;
    if (self->last == NULL)
        self->first = entry;
    else
        self->last->next_ready = entry;
    self->last = entry;
}

void hn_entries_dequeue(hn_entries *self, hn_entry *entry)
{
    if (!entry->is_ready)
        return;
    hn_entry *before = NULL;
    for (hn_entry *e = self->first; e != entry; e = e->next_ready)
        before = e;
    if (before == NULL)
        self->first = entry->next_ready;
    else
        before->next_ready = entry->next_ready;
    if (self->last == entry)
        self->last = before;
    entry->is_ready = false;
}

hn_entry *hn_entries_first_due(const hn_entries *self)
{
    hn_entry *first = self->all;
    for (hn_entry *e = first; e != NULL; e = e->peer)
        if (e->due < first->due)
            first = e;
    return first;
}
