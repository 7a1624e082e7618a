/* One round of I/O with the server: send what the core laid out, receive to the end of the answer.
 *
 * The pump knows frames, not their meaning: DataRows stay in the receive buffer until the engine
 * has decoded them, copy data is dropped, every other frame is collected for the core. It runs
 * without the GIL and touches nothing of Python. An hn_io belongs to one engine; its buffers
 * survive from one statement to the next.
 */
#ifndef HN_IO_H
#define HN_IO_H

#include "native.h"

typedef enum hn_pumped {
    HN_PUMPED_ALL,  /* the answer is complete, or the connection is broken (io->broken) */
    HN_PUMPED_SENT, /* feeding: all has been sent, more can follow */
    HN_PUMPED_ROWS, /* decode the rows in [walk, scan), then pump again */
    HN_PUMPED_WAIT  /* nothing to be had for now: wait for io->events on fd (0: only look up) */
} hn_pumped;

typedef struct hn_io {
    int64_t handle; /* for hypern_transport */
    int fd;
    bool tls;
    bool local;   /* a unix socket */
    bool result;  /* DataRows are the statement's result, and 'T' ends the round as a copy does */
    bool raw;     /* DataRows go to the core */
    bool keep;    /* DataRows are to be decoded; else counted and dropped. The engine clears it. */
    bool feeding; /* execute_many: more is to be sent, so that the answer has no end yet */

    /* what is to be sent: pieces in order, borrowed until the round ends */
    const uint8_t *piece[3];
    size_t piece_len[3];
    int pieces, next_piece;
    bool flushed;   /* TLS: nothing is left in the transport */
    int send_error; /* errno; what the server said before it hung up is still read */
    int64_t sent;

    /* what was received: data[walk..scan) are whole frames with `held` rows among them that are not
     * decoded yet, data[scan..len) is the beginning of a frame or bytes beyond the round's end */
    hn_buf in;
    size_t walk, scan;
    size_t held;
    hn_buf ctl; /* whole frames for the core */
    size_t notices, settings; /* bytes of such frames in the round */
    int64_t rows, rows_max; /* more rows than were asked for are no answer */
    int64_t frames_max;     /* nor are more frames for the core */

    /* execute_many: answers that are alike are counted; data[tag_at..tag_end) of ctl is the
     * CommandComplete that may come again, HN_AGAIN follows it if `again` */
    bool brief, again;
    int64_t binds;
    int64_t completed, completed_min; /* commands; more is fed once so many are completed */
    size_t tag_at, tag_end;

    int zs_left;  /* ReadyForQuery frames still to come */
    int guards;  /* RowDescriptions that come ahead of the result's own */
    bool stopped; /* 'T', or 'G', 'H' or 'W' (copy), has ended the round early */
    bool erred;   /* an ErrorResponse has come */
    bool broken;  /* end of file, or `error` says why */
    int error;    /* errno */
    short events;
} hn_io;

/* Begin a round. What a previous round of the same operation received beyond its end is kept. */
void hn_io_begin(hn_io *io, int64_t handle, int fd, bool tls, int zs);

/* Add a piece to send, three at most before all is sent. */
void hn_io_send(hn_io *io, const uint8_t *data, size_t len);

/* Go on with the round. With block_ms 0 it never blocks; else it may sleep that long at a time. It
 * relies on the socket's receive timeout of HN_TICK_MS. The GIL is not wanted. */
hn_pumped hn_io_pump(hn_io *io, int block_ms);

/* All rows in [walk, scan) are decoded, or not wanted. */
void hn_io_taken(hn_io *io);

/* The operation is over: forget what lies beyond its end. */
void hn_io_reset(hn_io *io);
void hn_io_free(hn_io *io);

#endif
