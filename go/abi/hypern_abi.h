/* The boundary between the C extension (hypern._native) and the Go core, spelled once.
 *
 * Go decides, C waits. C starts an operation on a session with hypern_step and then does what each
 * answer (`want`) asks for: wait on a descriptor, send bytes and receive frames, encode parameters.
 * It calls hypern_step again with HN_OP_CONTINUE until the answer is HN_WANT_DONE or HN_WANT_FAIL.
 * Go never calls C back and keeps no pointer it is given beyond the call; C keeps no Go pointer.
 * The core and the extension compare a fingerprint of this file after dlopen.
 */
#ifndef HYPERN_ABI_H
#define HYPERN_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Operations: what a caller starts on a session. One operation at a time per session; the caller
 * (C) holds the session's lock from the first step to DONE or FAIL. */
#define HN_OPS(X)                                                                                  \
    X(CONTINUE, "go on with the operation under way")                                              \
    X(STATEMENT, "run one statement: sql, declared, plan, body")                                             \
    X(MANY, "run one statement for many rows, atomically: sql, plan")                              \
    X(BEGIN, "open a transaction: sql is the BEGIN text, sent with the first statement")           \
    X(COMMIT, "commit the transaction")                                                            \
    X(ROLLBACK, "roll the transaction back")                                                       \
    X(SAVEPOINT, "sql is the savepoint's name; sent with the next statement")                      \
    X(RELEASE, "release the savepoint named by sql")                                               \
    X(ROLLBACK_TO, "roll back to the savepoint named by sql, and release it")                      \
    X(FINALIZE, "commit or roll back, reset, release the connection, close the session")           \
    X(TYPES, "in place of CONTINUE after WANT_ENCODE: describe the type OIDs in sql (uint32 each)") \
    X(ABANDON, "the caller gives the operation up: drop the connection; answers FAIL")              \
    X(STREAM, "run one statement, chunk rows of it: sql, plan, body; DONE says stream")            \
    X(FETCH, "the next chunk of stream; DONE says stream")                                         \
    X(STREAM_END, "end stream, with rows left; one that has ended is fine")                         \
    X(ENTER, "enter a transaction() block: sql is its place and its BEGIN, a line each; \"own \" "   \
             "ahead of BEGIN: no savepoint, even in an atomic scope")                               \
    X(LEAVE, "the block has come to its end: commit, or release its savepoint")                     \
    X(UNDO, "an exception leaves the block: roll back; one that was left before is fine")           \
    X(SET_LOCAL, "set settings for the transaction: sql is JSON, pairs of name and value")          \
    X(SCRIPT, "run the statements of sql as one simple Query, without rows, and set its settings back") \
    X(BATCH, "run the statements of items; DONE says in count how many have run, see below") \
    X(GIVE_BACK, "give the connection back in the middle of the request; FAIL in a transaction") \
    X(COPY_IN, "run the COPY FROM STDIN of sql with the data that WANT_COPY has C send; see ENCODED") \
    X(COPY_OUT, "run the COPY TO STDOUT of sql, as a stream: DONE says stream; see ENCODED")

typedef enum hn_op {
#define X(name, doc) HN_OP_##name,
    HN_OPS(X)
#undef X
} hn_op;

/* What the core wants next. */
#define HN_WANTS(X)                                                                                \
    X(DONE, "the operation succeeded: count, state")                                               \
    X(FAIL, "the operation failed: out holds the error as JSON (docs in hypern/errors.py)")        \
    X(WAIT, "poll fd for events, wait_ms at most, then CONTINUE (HN_IN_TIMEOUT when it ran out)")  \
    X(IO, "send head, body (HN_IO_BODY) and tail on fd; receive to the zs-th ReadyForQuery")       \
    X(ENCODE, "out holds a statement's description for plan: encode the body for it, CONTINUE")    \
    X(ROWS, "MANY only: head is the Bind prefix (portal and statement name); send every row")      \
    X(TYPES, "out holds the type rows asked for by HN_OP_TYPES; then CONTINUE or TYPES again")     \
    X(BATCH, "BATCH only: send head with the bodies of items where out has cuts")                  \
    X(COPY, "COPY_IN only: send the data in CopyData messages, then tail; or, where it is given up, out")

typedef enum hn_want {
#define X(name, doc) HN_WANT_##name,
    HN_WANTS(X)
#undef X
} hn_want;

/* States of a session, in the specification's words. */
#define HN_STATES(X)                                                                               \
    X(IDLE, "idle")                                                                                \
    X(CONNECTED, "connected")                                                                      \
    X(IN_TRANSACTION, "in_transaction")                                                            \
    X(COMMITTED, "committed")                                                                      \
    X(ROLLED_BACK, "rolled_back")                                                                  \
    X(CLOSED, "closed")

typedef enum hn_state {
#define X(name, word) HN_STATE_##name,
    HN_STATES(X)
#undef X
} hn_state;

/* hn_call.in_flags */
enum {
    HN_IN_EOF = 1,     /* the server closed the connection, or io_errno says how the I/O failed */
    HN_IN_TIMEOUT = 2, /* a WAIT, or an IO with limit_ms, ran out of time */
    HN_IN_REPARSE = 4, /* STATEMENT, MANY: forget what is known of this SQL and describe it again;
                        * after WANT_ROWS: a row does not fit the description */
    HN_IN_CANCELLED = 8, /* the caller has given up on the result: timeout=, interrupt, a bad row */
    HN_IN_GUESS = 16,  /* STATEMENT: body was encoded for plan; without it the core must ask ENCODE */
    HN_IN_KEPT = 32,   /* MANY: C still has every row it has sent, and can encode them anew */
    HN_IN_DECLARED = 64, /* after WANT_ENCODE or WANT_ROWS: the values want other types declared */
    /* STATEMENT, STREAM, FETCH: the result has values within text (a composite that holds money), so
     * the server must print them as C reads them: */
    HN_IN_ISO = 128,   /* dates, in DateStyle ISO */
    HN_IN_DIGITS = 256, /* floats, with all their digits */
    HN_IN_LATE = 512, /* with TIMEOUT, or ABANDON: it is the caller's timeout= that has passed */
    HN_IN_COLUMNS = 1024, /* TYPES: sql holds the OIDs of tables, whose columns of a domain are asked for */
    HN_IN_REQUEST = 2048, /* COMMIT, ROLLBACK: by the end of a request, which ends open blocks, too */
    HN_IN_REGISTERED = 4096, /* with the op that starts: converters are registered for types, by name */
    HN_IN_STEPWISE = 8192, /* SCRIPT: a Query for each statement, which may end transactions */
    HN_IN_OBSERVED = 65536, /* with the op that starts: DONE and FAIL report where it ran, in tail, and
                            * wait_secs */
    HN_IN_TAG = 16384, /* STATEMENT: DONE has the command tag in out */
    HN_IN_NULLS = 32768, /* TYPES, with COLUMNS: which columns of the tables are NOT NULL is asked for instead */
    HN_IN_RETURNING = 131072, /* MANY: the results of the rows are wanted, which are read by the
                              * description that they are bound for */
    HN_IN_DEADLINE = 262144, /* with the op that starts: timeout is what is left of the scope's deadline_secs */
    HN_IN_PAUSED = 1048576, /* after an IO with HN_IO_DATA: the chunk is full, and more is to come */
    HN_IN_ENCODED = 524288 /* COPY_IN: C encodes rows for the parameters of sql, which is the INSERT of the
                            * same columns; the core makes the COPY of it. COPY_OUT: C decodes rows; sql is
                            * the query */
};

/* hn_call.io_flags, with HN_WANT_IO */
enum {
    HN_IO_BODY = 1, /* send the body between head and tail */
    HN_IO_ROWS = 2, /* DataRows are the statement's result */
    HN_IO_RAW = 4,  /* hand DataRows over with the control frames */
    HN_IO_TLS = 8,  /* read and write through hypern_transport; fd is only for waiting */
    HN_IO_LOCAL = 16, /* fd is a unix socket */
    HN_IO_COPY = 32, /* a COPY has begun without a Sync: 'G', 'H', 'E', 'C' and 'I' end the I/O early */
    HN_IO_DATA = 64, /* CopyData is the result; a chunk of it may end the I/O early, with HN_IN_PAUSED */
    HN_IO_WHOLE = 128 /* with HN_IO_DATA: it may not */
};

/* hypern_cancel */
enum {
    HN_CANCEL_REQUEST = 0, /* ask the server to cancel; the operation goes on until its answer */
    HN_CANCEL_KILL = 1,    /* shut the connection down: the operation's I/O ends at once */
    HN_CANCEL_LATE = 2     /* as REQUEST, because the caller's timeout= has passed */
};

/* hypern_state: what to change before the answer */
enum {
    HN_SET_NOTHING = 0,
    HN_SET_AUTO_COMMIT = 1,
    HN_SET_ERROR = 2,
    HN_SET_NOT_ENTERED = 3, /* ENTER of the block `value` succeeded, but nobody is in it */
    HN_SET_FIND_BLOCK = 4,  /* nothing: whether the block `value`, or any if 0, is open: HN_FLAG_BLOCK */
    HN_SET_FAILED = 5       /* FINALIZE is to roll back, since the request has failed */
};

/* hn_call.hooks_kept */
enum { HN_HOOKS_ALL = -1 };

/* hypern_state's answer: an hn_state in the low byte, and: */
enum {
    HN_FLAG_IN_TRANSACTION = 256,
    HN_FLAG_AUTO_COMMIT = 512,
    HN_FLAG_ERROR = 1024,
    HN_FLAG_SHARED = 2048, /* the connection leads to a pooler that shares its servers */
    HN_FLAG_INCOMPLETE = 4096, /* the server refuses a step of the reset: `refused` of STATUS names it */
    HN_FLAG_BLOCK = 8192, /* after HN_SET_FIND_BLOCK */
    HN_FLAG_NO_REPLICA = 16384 /* DONE, FAIL: no replica could be reached, for the first time in an outage */
};

enum { HN_AGAIN = 'r', HN_GUARDED = 'g' };

/* hn_call.count of a WANT_ROWS that is not the first, which has no commands in out. */
enum { HN_ROWS_GO_ON = -1 };

/* The longest SQL text and the longest encoded parameters. A server ends the connection over a message
 * of more than 1 GiB less two bytes, the names in it included. */
enum { HN_TEXT_MAX = (1 << 30) - 1024 };

/* hypern_transport: what it answers instead of a count */
enum { HN_IO_AGAIN = -1, HN_IO_FAILED = -2 };

/* hypern_sql: what to read from a text */
enum {
    HN_SQL_NAMED = 0, /* its :name parameters: [the text with $n in their place, [names]] */
    HN_SQL_MARKS = 1, /* where its $n and quoted identifiers are, in bytes: [start, end, start, ...] */
    HN_SQL_PARTS = 2  /* its statements, in bytes: [[start, end, "" or the transaction command], ...] */
};

/* hypern_pool */
#define HN_POOL_OPS(X)                                                                             \
    X(STATUS, "out: the pool's status as JSON")                                                    \
    X(CLOSE, "close the pool and forget it; answers a descriptor that is readable when done, or -1") \
    X(DISCONNECT, "close the pool's connections, keep its settings; answers as CLOSE")             \
    X(LEFT, "out: JSON list of sessions never finalised, of every alias")                          \
    X(PANIC, "test hook: panic inside the core")                                                   \
    X(DEBUG, "out: JSON of the core's own counters (goroutines, handles, heap)")                         \
    X(DRAIN, "replace the pool's connections: idle ones at once, those in use as they come back")  \
    X(JOBS_FD, "answers a descriptor that is readable while there are JOBS, for Python to close")  \
    X(JOBS, "out: JSON of the next job that a dial waits for, see pool.Job, or null; one at a time") \
    X(TEXTS, "alias is the request id of a job's session; out: JSON list of its statements")       \
    X(SETTLE, "alias is a job's ticket, NUL, 1 or 0, NUL, the password or why it failed")          \
    X(BASELINE, "alias is a job's ticket, NUL, the SQL that sets the new connection's baseline")   \
    X(HOOKED, "alias is an alias, NUL, 1 or 0: whether on_connect functions are called")           \
    X(HEARD_FD, "answers a descriptor that is readable while there is HEARD, for Python to close") \
    X(HEARD, "out: JSON list of what the connections that listen report, see listen.Event")        \
    X(LISTEN, "alias is an alias, NUL, a serial number, and NUL and a channel for each wanted")

typedef enum hn_pool_op {
#define X(name, doc) HN_POOL_##name,
    HN_POOL_OPS(X)
#undef X
} hn_pool_op;

/* Bytes that C owns (malloc). Go may append, and grow them with realloc. */
typedef struct hn_buf {
    uint8_t *data;
    size_t len, cap;
} hn_buf;

/* A descriptor that a forked child must close, never write to: its number is the place in the table.
 * Written by Go with atomic stores, read by the child's fork handler, which closes the descriptor if
 * fstat agrees. */
typedef struct hn_fd {
    uint64_t ino; /* 0: none */
} hn_fd;

typedef struct hn_boot {
    hn_fd *fds; /* in: C owns it, for the life of the process */
    uint64_t *used; /* in, C's: how many places the child looks at. Go raises it before it enters more. */
    /* in, C's: descriptors being opened by Go (the low half), and forks under way (the high half), for
     * which Go waits before it opens another: one that is not yet in the table must not be inherited. */
    uint64_t *gate;
    uint32_t nfds;
    uint32_t generation; /* in: 0 in the first process, + 1 in each forked child that loads again */
} hn_boot;

/* A place in a server's write-ahead log. */
typedef struct hn_position {
    uint64_t lsn, system; /* 0: none; not known */
    uint32_t timeline;    /* 0: not known */
} hn_position;

/* One statement of a batch, as hn_call has a single one. */
typedef struct hn_call_item {
    const char *sql;
    int64_t sql_len;
    const uint32_t *declared;
    int64_t ndeclared;
    uint64_t plan;
    int64_t body_len;
    uint32_t in_flags; /* GUESS, REPARSE, ISO, DIGITS */
} hn_call_item;

/* WANT_BATCH: where in head an item's body belongs. */
typedef struct hn_cut {
    uint64_t item, at;
} hn_cut;

/* One step of one operation. C keeps it for the operation's life and fills the `in` part anew. */
typedef struct hn_call {
    /* in */
    uint32_t op;
    uint32_t in_flags;
    const char *sql; /* UTF-8, not terminated; with the op that starts, and as HN_OPS says */
    int64_t sql_len;
    int64_t body_len;   /* length of the encoded body that IO will send, see below */
    const uint8_t *ctl; /* whole frames received since the last step, DataRows left out */
    int64_t ctl_len;
    const uint8_t *extra; /* bytes received after the frame that ended the I/O */
    int64_t extra_len;
    int64_t rows;  /* DataRows seen in this I/O */
    int64_t binds; /* ROWS: BindComplete frames, which ctl leaves out */
    int64_t sent; /* bytes of this I/O that the kernel has taken */
    int32_t io_errno;
    double timeout;       /* the caller's timeout= in seconds, with the op that starts; below 0: none */
    int64_t chunk;        /* STREAM, FETCH: most rows to receive */
    /* in and out: the description the body is encoded for; 0: none */
    uint64_t plan;
    /* in, STATEMENT, MANY, STREAM and with HN_IN_DECLARED: the types that the statement's parameters
     * are declared with, 0: the server infers it. A view during the step; 0 of them: none is. */
    const uint32_t *declared;
    int64_t ndeclared;
    /* in and out: the number of the session's open stream. In with FETCH and STREAM_END; out with
     * DONE of STREAM and FETCH, 0 after the last row */
    uint64_t stream;
    const hn_call_item *items; /* in, BATCH, with the op that starts */
    int64_t nitems;
    int64_t item; /* out, BATCH, ENCODE: which of them is to be encoded */
    uint64_t block; /* in, ENTER, LEAVE, UNDO: which transaction() block; below 2^31, C's to choose */
    int64_t hooks;  /* in, with the op that starts: functions that wait for the commit */
    /* out */
    uint64_t catalog; /* ENCODE: the number of what is known of the server's own types. Types learned
                       * for another number are another server's, or were altered since */
    int32_t guards;   /* IO, ROWS: so many RowDescriptions come ahead of the result's own: they end
                       * nothing, and an empty frame of kind HN_GUARDED stands for each in ctl */
    int32_t described; /* ROWS with RETURNING: which of the RowDescriptions to come, from 1, is that of the
                        * rows; the others are guards'. 0: there is none */
    int64_t hooks_kept; /* DONE, FAIL: so many of them, the first ones, go on waiting, or all
                         * (HN_HOOKS_ALL); the others are called, or dropped */
    bool hooks_due; /* the others are called */
    double wait_secs; /* DONE, FAIL, with OBSERVED: how long it has waited in the pool's queue */
    hn_position written; /* DONE, FAIL: the end of the log behind what the session has committed, where
                          * its alias has a replica */
    uint32_t want;
    uint32_t io_flags;
    uint64_t socket; /* IO, WAIT: which socket or event fd is, so that one is not taken for another
                      * that had its number before; 0: it is not worth remembering */
    int32_t fd;
    uint32_t events; /* WAIT: POLLIN and/or POLLOUT */
    int32_t wait_ms; /* WAIT: longest wait from now; -1: no limit */
    int32_t zs;      /* IO: number of ReadyForQuery frames to receive */
    int32_t grace_ms; /* IO, ROWS: how long after CANCEL_LATE the answer is waited for before ABANDON */
    int32_t limit_ms; /* IO: how long it may take, 0: no limit; then CONTINUE with TIMEOUT and EOF */
    int64_t count;   /* DONE: rows affected, or returned, as the command tag says. FINALIZE: -1
                      * if there was no session left */
    uint32_t state;  /* as hypern_state answers */
    hn_buf head, tail, out; /* Go sets len to 0 at each step, then appends */
} hn_call;

/* The body of a Bind as C encodes it: everything after the two names, that is
 *   int16 number of parameter formats, int16 each; int16 number of parameters, int32 length and
 *   bytes each; int16 number of result formats, int16 each.
 * head ends right where the body goes; tail begins right after it.
 *
 * With WANT_ENCODE, out is: uint32 length and body of ParameterDescription ('t'), uint32 length and
 * body of RowDescription ('T'; length 0: NoData), the lengths in host order. `time zone` follows as
 * uint32 length and text: the session's TimeZone setting. Last, as uint32 length in bytes and OIDs in
 * host order, come the types that it was described for, as hn_call.declared has them.
 *
 * With WANT_TYPES, out is a row per type found, integers in host order, strings as uint16 length and
 * UTF-8: uint32 oid, uint8 typtype, uint8 typcategory, uint8 delimiter, uint8 is a true array,
 * uint32 related (element, base type, range subtype, multirange's range), string name, string
 * schema, uint16 number of fields, then per field uint32 oid and string name.
 *
 * After HN_IN_COLUMNS it is a row per column of a domain, three uint32 each: table, number, domain.
 * After HN_IN_NULLS it is a row per column of those that are tables (not views), three uint32 each:
 * table, number, and 1 if the column is NOT NULL, else 0.
 *
 * With WANT_ROWS C sends out first, then per row Bind ('B', length, head, body) and Execute ('E',
 * length 9, empty portal, no limit), receives meanwhile, and sends tail after the last row. When an
 * ErrorResponse comes first, or the rows' iterator or encoder raises, it stops sending rows and sends
 * Sync in place of tail (CONTINUE then carries HN_IN_CANCELLED for the latter). It CONTINUEs once,
 * with all control frames up to ReadyForQuery (DataRows dropped). Rows are many and their answers
 * alike: BindComplete is only counted, and where the same CommandComplete comes again, a frame of
 * kind HN_AGAIN takes the place of the repetitions, with their number as its body (uint32). count is
 * the number of commands in out, or its complement (~) where the statement cannot be stale. At or
 * above 0, C keeps the rows until more BindCompletes than that have come: then the first row was
 * accepted. Until then CONTINUE carries HN_IN_KEPT, and another WANT_ROWS begins anew. The first row
 * of a statement without parameters is sent alone with a Flush; 'G', 'H' or 'W' (copy) in place of its
 * CommandComplete ends the I/O early, before any Sync.
 * Where a row's values want other types declared than those before it, C sends Sync in place of tail
 * and CONTINUEs with HN_IN_DECLARED: the statement is described for those, and another WANT_ROWS,
 * whose count is HN_ROWS_GO_ON, has C go on with that row.
 *
 * With WANT_BATCH out is an hn_cut for each item of the round, in their order: C sends head, with the
 * item's body inserted at each cut, and receives meanwhile. count is the number of commands ahead of the
 * first item's. The rows of an item come ahead of its CommandComplete. Where an ErrorResponse comes before
 * all has been sent, C ends with a Sync. Where the caller gives up by then, C has the server fail, sends a
 * Sync, and CONTINUEs with HN_IN_CANCELLED. DONE's count is below the number of items where the next one
 * must run apart, as a STATEMENT; outside a transaction it is 0 then, and C opens one first.
 *
 * With WANT_COPY C sends the data in CopyData messages, receives meanwhile, and sends tail (CopyDone, Sync)
 * behind it. When an ErrorResponse comes first, or the data's iterator or encoder raises, or the caller gives
 * up, it sends out (CopyFail, Sync) in place of tail. It CONTINUEs once, with all control frames up to
 * ReadyForQuery.
 *
 * A COPY_OUT whose chunk is full is an open stream: what of its data has arrived behind the chunk stays with
 * C, for the next I/O on the session. FETCH goes on with it; any other operation ends it first.
 *
 * A session has one stream at most: any operation but FETCH and STREAM_END ends it first. Outside a
 * transaction a stream runs in one of its own, of which the state says nothing.
 *
 * With HN_IN_OBSERVED, tail of DONE and FAIL is where the operation's connection leads to: host, NUL and
 * port; empty if it had none.
 *
 * During IO with HN_IO_ROWS the frames 'G', 'H', 'W' (copy) and 'T' end the I/O early: CONTINUE with
 * the control frames so far, that frame included; what follows it in the buffer stays with C.
 */

/* Exports. Every one has a recover barrier; after a panic the core is poisoned and says so.
 * `out` parameters are buffers as in hn_call. JSON is UTF-8. */
#define HN_EXPORTS(X)                                                                              \
    /* the fingerprint of this header, as the core was built with */                               \
    X(const char *, hypern_abi, (void))                                                            \
    /* once after dlopen; 0, or -1 */                                                              \
    X(int32_t, hypern_boot, (hn_boot * boot))                                                      \
    /* settings as JSON (alias among them); 0, or -1 with the error in out */                      \
    X(int32_t, hypern_configure, (const char *json, int64_t json_len, hn_buf *out))                \
    /* a new session of a request and alias: a handle > 0, which hypern_release gives back, or -1   \
     * with the error in out. C knows which are open, and opens none twice. options: those of its   \
     * scope, as texts that each end with a NUL: BEGIN with its options ("default": the alias's, "": \
     * none), deadline_secs, the label, then names and values of settings, the role last. reads: it \
     * only reads, on a replica if there is one, which must have replayed wanted ("0/3000148", or     \
     * with ":timeline:system"), "" for nothing. */                                                 \
    X(int64_t, hypern_open, (const char *request, int64_t request_len, const char *alias,          \
                             int64_t alias_len, const char *options, int64_t options_len,          \
                             int32_t reads, const char *wanted, int64_t wanted_len,                \
                             hn_buf *out))                                                         \
    X(int32_t, hypern_step, (int64_t handle, hn_call * call))                                      \
    /* returns at once; 0, or -1 when there is nothing to cancel */                                \
    X(int32_t, hypern_cancel, (int64_t handle, int32_t how))                                       \
    /* TLS: bytes read or taken; 0 on end of file (reading) or all flushed (writing, len 0);       \
     * or HN_IO_AGAIN, HN_IO_FAILED */                                                             \
    X(int64_t, hypern_transport, (int64_t handle, int32_t writing, uint8_t *data, int64_t len))    \
    /* read a text (HN_SQL_*): JSON in out, 0, or -1 with the error in out */                      \
    X(int32_t, hypern_sql, (int32_t what, const char *text, int64_t text_len, hn_buf *out))        \
    X(uint32_t, hypern_state, (int64_t handle, int32_t set, int32_t value))                        \
    X(int32_t, hypern_pool, (int32_t op, const char *alias, int64_t alias_len, hn_buf *out))       \
    X(int32_t, hypern_release, (int64_t handle))

#endif
