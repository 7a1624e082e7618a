/* The operations of one event loop, as its reactor sees them: all that are under way, and in order
 * those that can go on. GIL held. */
#ifndef HN_ENTRIES_H
#define HN_ENTRIES_H

#include "native.h"

typedef struct hn_reactor hn_reactor;
typedef struct hn_entry hn_entry;

/* What the reactor calls on an entry. It holds a reference on the owner meanwhile. */
typedef struct hn_entry_functions {
    void (*ready)(hn_entry *entry); /* a descriptor is ready, or hn_reactor_soon was called */
    void (*late)(hn_entry *entry);  /* the time has come that it was due */
    void (*lost)(hn_entry *entry);  /* the event loop has gone */
} hn_entry_functions;

struct hn_entry {
    PyObject *owner; /* the object that this is a part of; referenced while the entry is added */
    const hn_entry_functions *functions;
    hn_reactor *reactor; /* borrowed; NULL before, after, and when the loop has gone */
    hn_time due;         /* when late() is to be called, or HN_NEVER */
    int armed_fd;        /* -1 if there is none */
    bool is_ready;
    hn_entry *next_ready;
    hn_entry *peer, **peer_from;
};

typedef struct hn_entries {
    hn_entry *all;          /* linked by `peer` */
    hn_entry *first, *last; /* ready, linked by `next_ready` */
} hn_entries;

/* Adds an entry with a reference on its owner, and removes one that is not ready. */
void hn_entries_add(hn_entries *entries, hn_entry *entry);
void hn_entries_remove(hn_entry *entry);

/* Makes an entry the last ready one, if it is not ready yet; and ready no more, if it is. */
void hn_entries_enqueue(hn_entries *entries, hn_entry *entry);
void hn_entries_dequeue(hn_entries *entries, hn_entry *entry);

/* The one with the earliest due time; NULL if there are none. */
hn_entry *hn_entries_first_due(const hn_entries *entries);

#endif
