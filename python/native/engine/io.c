/* One round of I/O with the server: send what the core laid out, receive to the answer's end. */
#include "engine/io.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "buf.h"
#include "core/core.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

#define FRAME_HEAD 5
#define FRAME_MAX (1u << 30)          /* PostgreSQL's own limit for a message */
#define RECEIVE_SIZE (128u * 1024)    /* the receive buffer, unless one frame is larger */
#define RECEIVE_ROOM (16u * 1024)     /* least room that a recv is tried with */
#define ROWS_CHUNK (64u * 1024)       /* undecoded rows, handed over before more is received */
#define UNASKED_MAX (1u << 20)        /* of what the server says of its own accord, in one round */
#define CTL_MAX (256u << 20)          /* bytes for the core: more than any answer has */
#define FRAMES_MAX (1 << 20)          /* frames for the core, but for execute_many: the same */
#define JOIN_MAX (16u * 1024)         /* TLS: pieces up to this are joined into one record */
#define LOOP_TICK (1 * HN_MS)         /* of a pump that must not block */

void hn_io_begin(hn_io *io, int64_t handle, int fd, bool tls, int zs)
{
    io->handle = handle;
    io->fd = fd;
    io->tls = tls;
    io->result = io->raw = io->keep = io->feeding = io->local = false;
    io->pieces = io->next_piece = 0;
    io->flushed = true;
    io->send_error = 0;
    io->sent = 0;
    io->ctl.len = io->notices = io->settings = 0;
    io->rows = 0;
    io->brief = io->again = false;
    io->binds = io->completed = io->completed_min = 0;
    io->tag_at = io->tag_end = 0;
    io->rows_max = INT64_MAX;
    io->frames_max = FRAMES_MAX;
    io->zs_left = zs;
    io->guards = 0;
    io->stopped = io->erred = io->broken = false;
    io->error = 0;
    io->events = 0;
}

void hn_io_send(hn_io *io, const uint8_t *data, size_t len)
{
    if (io->next_piece == io->pieces)
        io->pieces = io->next_piece = 0;
    if (len == 0 || io->send_error != 0)
        return;
    io->piece[io->pieces] = data;
    io->piece_len[io->pieces++] = len;
    io->flushed = false;
}

void hn_io_taken(hn_io *io)
{
    io->walk = io->scan;
    io->held = 0;
}

void hn_io_reset(hn_io *io)
{
    io->in.len = io->walk = io->scan = io->held = 0;
    io->ctl.len = 0;
}

void hn_io_free(hn_io *io)
{
    hn_buf_free(&io->in);
    hn_buf_free(&io->ctl);
}

static void break_off(hn_io *io, int error)
{
    io->broken = true;
    io->error = error;
}

/* Sending. */

static bool all_sent(const hn_io *io)
{
    return io->send_error != 0 || (io->next_piece == io->pieces && io->flushed);
}

/* Nothing more can be sent on this connection. What the server had to say by now is still read; more of
 * it is not waited for: a peer that no longer reads need not hang up, and no recv would end. */
static void send_failed(hn_io *io, int error)
{
    io->send_error = error;
    io->pieces = io->next_piece = 0;
    io->feeding = false;
    shutdown(io->fd, SHUT_RDWR);
}

static void count_sent(hn_io *io, size_t n)
{
    io->sent += (int64_t)n;
    while (n > 0) {
        size_t *left = &io->piece_len[io->next_piece];
        size_t part = n < *left ? n : *left;
        io->piece[io->next_piece] += part;
        *left -= part;
        n -= part;
        if (*left == 0)
            io->next_piece++;
    }
}

static void send_plain(hn_io *io)
{
    while (io->next_piece < io->pieces) {
        struct iovec iov[3];
        size_t n = 0;
        for (int i = io->next_piece; i < io->pieces; i++)
            iov[n++] = (struct iovec){.iov_base = (void *)(uintptr_t)io->piece[i],
                                      .iov_len = io->piece_len[i]};
        struct msghdr message = {.msg_iov = iov, .msg_iovlen = n};
        ssize_t sent = sendmsg(io->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) {
            count_sent(io, (size_t)sent);
        } else if (errno != EINTR) {
            if (errno != EAGAIN && errno != EWOULDBLOCK)
                send_failed(io, errno);
            return;
        }
    }
    io->flushed = true;
}

/* Small pieces go into one TLS record: each one costs a crossing and a record's overhead. */
static size_t join_pieces(const hn_io *io, uint8_t *to)
{
    size_t n = 0;
    for (int i = io->next_piece; i < io->pieces; i++) {
        if (io->piece_len[i] > JOIN_MAX - n)
            break;
        memcpy(to + n, io->piece[i], io->piece_len[i]);
        n += io->piece_len[i];
    }
    return n;
}

static void send_tls(hn_io *io)
{
    uint8_t joined[JOIN_MAX];
    while (!io->flushed) {
        uint8_t *data = NULL;
        size_t len = 0;
        if (io->next_piece < io->pieces) {
            len = join_pieces(io, joined);
            data = len > 0 ? joined : (uint8_t *)(uintptr_t)io->piece[io->next_piece];
            len = len > 0 ? len : io->piece_len[io->next_piece];
        }
        int64_t n = hn_go.hypern_transport(io->handle, 1, data, (int64_t)len);
        if (n == HN_IO_AGAIN)
            return;
        if (n < 0 || n > (int64_t)len) {
            send_failed(io, EIO);
            return;
        }
        if (len == 0)
            io->flushed = true;
        else
            count_sent(io, (size_t)n);
    }
}

/* Receiving. */

static void collect(hn_io *io, const uint8_t *frame, size_t total)
{
    bool notice = frame[0] == 'N' || frame[0] == 'A';
    if (notice && (io->notices += total) > UNASKED_MAX)
        return;
    if (frame[0] == 'S')
        io->settings += total; /* which cannot be spared */
    if (io->settings > UNASKED_MAX || io->ctl.len > CTL_MAX || io->frames_max-- == 0) {
        break_off(io, EPROTO);
        return;
    }
    if (hn_buf_grow(&io->ctl, total) < 0) {
        break_off(io, ENOMEM);
        return;
    }
    memcpy(io->ctl.data + io->ctl.len, frame, total);
    io->ctl.len += total;
}

#define AGAIN_SIZE (FRAME_HEAD + 4)

/* Whether this CommandComplete is the last collected one again; then it is counted, no more. */
static bool comes_again(hn_io *io, const uint8_t *frame, size_t total)
{
    if (total != io->tag_end - io->tag_at ||
        io->ctl.len != io->tag_end + (io->again ? AGAIN_SIZE : 0) ||
        memcmp(io->ctl.data + io->tag_at, frame, total) != 0)
        return false;
    if (!io->again) {
        static const uint8_t marker[AGAIN_SIZE] = {HN_AGAIN, 0, 0, 0, AGAIN_SIZE - 1};
        collect(io, marker, sizeof marker);
        io->again = true;
    }
    uint8_t *count = io->ctl.data + io->ctl.len - 4;
    if (!io->broken)
        hn_put_u32(count, hn_get_u32(count) + 1);
    return true;
}

static void collect_tag(hn_io *io, const uint8_t *frame, size_t total)
{
    if (comes_again(io, frame, total))
        return;
    io->tag_at = io->ctl.len;
    io->tag_end = io->tag_at + total;
    io->again = false;
    collect(io, frame, total);
}

static bool over(const hn_io *io)
{
    return io->broken || io->stopped || (io->zs_left <= 0 && !io->feeding);
}

static void take_frame(hn_io *io, const uint8_t *frame, size_t total)
{
    switch (frame[0]) {
    case 'D':
        if (io->rows++ == io->rows_max)
            break_off(io, EPROTO);
        else if (io->raw)
            collect(io, frame, total);
        else if (io->keep)
            io->held++;
        return;
    case 'd':
        return;
    case '2':
        if (!io->brief)
            break;
        io->binds++;
        return;
    case 'C':
        io->completed++;
        if (!io->brief)
            break;
        collect_tag(io, frame, total);
        return;
    case 'I':
        io->completed++;
        break;
    case 'Z':
        io->zs_left--;
        break;
    case 'E':
        io->erred = true;
        break;
    case 'T':
        if (io->guards > 0) {
            static const uint8_t marker[FRAME_HEAD] = {HN_GUARDED, 0, 0, 0, FRAME_HEAD - 1};
            io->guards--; /* not the result's */
            collect(io, marker, sizeof marker);
            return;
        }
        io->stopped = io->result;
        break;
    case 'G':
    case 'H':
    case 'W':
        io->stopped = io->result || io->brief;
        break;
    default:
        break;
    }
    collect(io, frame, total);
}

/* The whole length of the frame at scan; 0 if that is not known yet. */
static size_t frame_size(const hn_io *io)
{
    if (io->in.len - io->scan < FRAME_HEAD)
        return 0;
    return 1 + (size_t)hn_get_u32(io->in.data + io->scan + 1);
}

static void scan_frames(hn_io *io)
{
    while (!over(io)) {
        size_t total = frame_size(io);
        if (total == 0)
            break;
        if (total < FRAME_HEAD || total > FRAME_MAX) {
            break_off(io, EPROTO);
            break;
        }
        if (total > io->in.len - io->scan)
            break;
        take_frame(io, io->in.data + io->scan, total);
        io->scan += total;
    }
    if (io->held == 0)
        io->walk = io->scan;
}

/* Room for the next recv. The buffer grows with what has arrived, up to the frame it is in the
 * middle of: a length that the server only claims costs no memory. False: decode rows first. */
static bool make_room(hn_io *io)
{
    hn_buf *in = &io->in;
    if (in->cap - in->len >= RECEIVE_ROOM)
        return true;
    if (io->walk > 0) {
        memmove(in->data, in->data + io->walk, in->len - io->walk);
        in->len -= io->walk;
        io->scan -= io->walk;
        io->walk = 0;
    }
    if (in->cap - in->len >= RECEIVE_ROOM)
        return true;
    if (io->held > 0)
        return false;
    if (hn_buf_grow(in, in->cap == 0 ? RECEIVE_SIZE : in->cap) < 0)
        break_off(io, ENOMEM);
    return true;
}

typedef enum had { HAD_BYTES, HAD_NOTHING, HAD_SIGNAL, HAD_END } had;

/* What one recv, or its like, gave: bytes (or zero: end of file), or -1 with errno. */
static ssize_t receive_bytes(hn_io *io, bool wait)
{
    uint8_t *to = io->in.data + io->in.len;
    size_t room = io->in.cap - io->in.len;
    if (!io->tls)
        return recv(io->fd, to, room, wait ? 0 : MSG_DONTWAIT);
    int64_t n = hn_go.hypern_transport(io->handle, 0, to, (int64_t)room);
    if (n >= 0 && n <= (int64_t)room)
        return (ssize_t)n;
    errno = n == HN_IO_AGAIN ? EAGAIN : EIO;
    return -1;
}

static had receive(hn_io *io, bool wait)
{
    ssize_t n = receive_bytes(io, wait);
    if (n > 0) {
        io->in.len += (size_t)n;
        return HAD_BYTES;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return HAD_NOTHING;
    if (n < 0 && errno == EINTR)
        return HAD_SIGNAL;
    break_off(io, n < 0 ? errno : io->send_error);
    return HAD_END;
}

/* Nothing to be received and nothing to be sent right now: sleep, if the caller lets us. Whether
 * there is something to be tried. What follows the end of the answer is not ours to wait for. */
static bool await(hn_io *io, int block_ms)
{
    io->events = (short)((over(io) ? 0 : POLLIN) | (all_sent(io) ? 0 : POLLOUT));
    if (block_ms == 0)
        return false;
    struct pollfd p = {.fd = io->fd, .events = io->events};
    bool woken = poll(&p, 1, block_ms) > 0;
    if (!woken)
        io->events = 0;
    return woken;
}

/* A stream that never pauses must not keep signals and deadlines waiting, nor an event loop its
 * other work: true once a tick, or after block_ms. The clock is not asked in the first turn, which is the only one of a
 * short answer. */
static bool tick_passed(int turn, hn_time *began, int block_ms)
{
    if (turn == 1)
        *began = hn_now();
    return turn > 1 && hn_now() - *began > (block_ms == 0 ? LOOP_TICK : block_ms * HN_MS);
}

static hn_pumped look_up(hn_io *io)
{
    io->events = 0;
    return HN_PUMPED_WAIT;
}

/* Whether a recv that blocks would be woken for nothing: on a unix socket it is, each time the server
 * reads some of what was sent to it, and a poll for input is not. With both on one core that is two
 * switches, 3 of the 15 us of a round trip. Once rows come it has read all, and recv is cheaper. */
static bool wakes_early(const hn_io *io)
{
    return io->local && (io->rows == 0 || io->brief);
}

hn_pumped hn_io_pump(hn_io *io, int block_ms)
{
    hn_time began = 0;
    for (int turn = 0;; turn++) {
        bool asked = !all_sent(io);
        if (asked)
            io->tls ? send_tls(io) : send_plain(io);
        scan_frames(io);
        if (io->broken || (over(io) && all_sent(io)))
            return HN_PUMPED_ALL;
        if ((io->held > 0 && io->scan - io->walk >= ROWS_CHUNK) || !make_room(io))
            return HN_PUMPED_ROWS;
        if (io->broken)
            return HN_PUMPED_ALL;
        if (tick_passed(turn, &began, block_ms))
            return look_up(io);
        bool fed = io->feeding && all_sent(io) &&
                   (io->completed >= io->completed_min || io->erred);
        bool wait = block_ms >= HN_TICK_MS && all_sent(io) && !fed && !io->tls;
        if (wait && wakes_early(io)) {
            if (!await(io, HN_TICK_MS))
                return look_up(io);
            wait = false;
        }
        /* What has just been sent is not answered yet: a look would be a system call for nothing. */
        bool early = asked && block_ms == 0 && all_sent(io) && io->send_error == 0 && !io->feeding &&
                     !io->tls;
        switch (over(io) || early ? HAD_NOTHING : receive(io, wait)) {
        case HAD_BYTES:
            continue;
        case HAD_SIGNAL:
            return look_up(io);
        case HAD_END:
            return HN_PUMPED_ALL;
        case HAD_NOTHING:
            break;
        }
        if (fed)
            return HN_PUMPED_SENT;
        if (wait)
            return look_up(io);
        if (!await(io, block_ms))
            return HN_PUMPED_WAIT;
    }
}
