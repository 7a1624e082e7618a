/* The state of one round of I/O, for the files of this room; all others use io.h. */
#ifndef HN_ROUND_H
#define HN_ROUND_H

#include "native.h"

#define HN_FRAME_HEAD 5
#define HN_PIECES_MAX 3 /* head, body and tail */

typedef struct hn_io {
    int64_t handle; /* for hypern_transport */
    int fd;
    bool tls;
    bool local;  /* a unix socket */
    bool result; /* DataRows are the statement's result, and 'T' ends the round as a copy does */
    bool raw;    /* DataRows go to the core */
    bool keep;   /* DataRows are to be decoded; else counted and dropped. Cleared once enough are
                    decoded. */
    bool marks;  /* the frames that end a command's result stay with its DataRows, so that these are
                    told apart */
    bool data;   /* CopyData is the result */
    bool copy;   /* a COPY without a Sync: its first response, or an error, ends the round */
    bool feeding; /* execute_many, COPY: more is to be sent, so that the response has no end yet */

    /* what is to be sent: pieces in order, borrowed until the round ends */
    const uint8_t *piece[HN_PIECES_MAX];
    size_t piece_len[HN_PIECES_MAX];
    int pieces, next_piece;
    bool flushed;   /* TLS: nothing is left in the transport */
    int send_error; /* errno; what the server sent before it hung up is still read */
    int64_t sent;

    /* what was received: data[walk..scan) are whole frames with `held` rows among them that are not
     * decoded yet (or, with `marks`, what divides them), data[scan..len) is the beginning of a
     * frame or bytes beyond the round's end */
    hn_buf in;
    size_t walk, scan;
    size_t held;
    hn_buf ctl;               /* whole frames for the core */
    hn_buf notices;           /* NoticeResponses of all rounds, whole, for the caller */
    size_t unasked, settings; /* bytes of such frames in the round */
    int64_t rows, rows_max;   /* more rows than were requested break the round */
    int64_t frames_max;       /* as do more frames for the core */

    /* execute_many: equal responses are counted; data[tag_at..tag_end) of ctl is the
     * CommandComplete that may come again, HN_AGAIN follows it if `again` */
    bool brief, again;
    int64_t binds;
    int64_t completed, completed_min; /* commands; more is fed once that many are completed */
    size_t tag_at, tag_end;

    int zs_left;   /* ReadyForQuery frames still to come */
    int guards;    /* RowDescriptions that are none of a result's */
    int described; /* which of them all is a result's, which ends nothing; 0: none but the last */
    bool stopped;  /* 'T', or 'G', 'H' or 'W' (copy), has ended the round early */
    bool erred;    /* an ErrorResponse has come */
    bool broken;   /* end of file, or `error` has the reason */
    int error;     /* errno */
    short events;
} hn_io;

/* Nothing more can be had from this connection: errno, or 0 at the end of the file. */
static inline void hn_io_break(hn_io *io, int error)
{
    io->broken = true;
    io->error = error;
}

#endif
