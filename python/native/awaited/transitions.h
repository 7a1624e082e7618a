/* What an awaited operation does about an event: one pure function over its phase, its driver and
 * the event. The operation carries the action out.
 *
 *     NEW ──► QUEUED ──► GRANTED ──► RUNNING ──► OVER ──► SETTLING ──► DONE
 *       └────────────────────────────────┘         └──────────────────┘
 */
#ifndef HN_TRANSITIONS_H
#define HN_TRANSITIONS_H

#define HN_PHASES(X)                                                                               \
    X(NEW, "new")           /* not awaited yet */                                                  \
    X(QUEUED, "queued")     /* waits for the session's lock */                                     \
    X(GRANTED, "granted")   /* holds the lock, and has not begun */                                \
    X(RUNNING, "running")   /* has an engine */                                                    \
    X(OVER, "over")         /* the outcome waits for its task */                                   \
    X(SETTLING, "settling") /* on_commit functions run in the task */                              \
    X(DONE, "done")

/* What goes on with it. */
#define HN_DRIVEN(X)                                                                               \
    X(LOOP, "loop")     /* its event loop, when its reactor calls */                               \
    X(THREAD, "thread") /* a thread that is inside it right now */                                 \
    X(NOBODY, "nobody") /* its event loop has gone, or is not found yet */

#define HN_EVENTS(X)                                                                               \
    X(GRANTED, "granted") /* the session's lock is handed to it */                                 \
    X(READY, "ready")     /* its reactor calls: what it waits for may be there */                  \
    X(LATE, "late")       /* the time it was due has come */                                       \
    X(LEFT, "left")       /* its task was cancelled, or drops it */                                \
    X(LOST, "lost")       /* its event loop has gone */

#define HN_ACTIONS(X)                                                                              \
    X(IGNORE, "ignore")                                                                            \
    X(SCHEDULE, "schedule")  /* have the reactor call READY soon */                                \
    X(BEGIN, "begin")        /* make the engine and take the first step */                         \
    X(ADVANCE, "advance")    /* go on with the engine */                                           \
    X(NOTIFY, "notify")      /* wake the task once more: the outcome came in another thread */     \
    X(EXPIRE, "expire")      /* the time for waiting in the queue has passed */                    \
    X(CHECK_LIMITS, "check") /* look at the engine's limits and the caller's */                    \
    X(DETACH, "detach")      /* go on without a task */                                            \
    X(CANCEL, "cancel")      /* go on without a task, and cancel on the server */                  \
    X(LEAVE_QUEUE, "leave queue") /* leave the session's queue */                                  \
    X(ABANDON, "abandon")         /* end it unfinished: its connection is closed */                \
    X(SETTLE, "settle")           /* see to the outcome in the task's place */                     \
    X(FINISH, "finish")           /* nothing is left to do */

#define X(name, word) HN_PHASE_##name,
typedef enum hn_phase { HN_PHASES(X) HN_PHASE_COUNT } hn_phase;
#undef X
#define X(name, word) HN_BY_##name,
typedef enum hn_driven { HN_DRIVEN(X) HN_BY_COUNT } hn_driven;
#undef X
#define X(name, word) HN_EVENT_##name,
typedef enum hn_event { HN_EVENTS(X) HN_EVENT_COUNT } hn_event;
#undef X
#define X(name, word) HN_ACTION_##name,
typedef enum hn_action { HN_ACTIONS(X) HN_ACTION_COUNT } hn_action;
#undef X

/* What kind of operation it is. */
enum {
    HN_MUST_HAPPEN = 1, /* it ends a session or a block: it keeps its place in a queue */
    HN_CANCELLABLE = 2  /* once running, a task that leaves has it cancelled on the server */
};

hn_action hn_transition(hn_phase phase, hn_driven driven, hn_event event, unsigned kind);

/* Names, for reprs and tests. */
extern const char *const hn_phase_words[], *const hn_driven_words[], *const hn_event_words[],
                                                                         *const hn_action_words[];

#endif
