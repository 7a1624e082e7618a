/* One round of I/O with the server: sends what the core laid out, and receives to the end of the
 * response. */
#include "io/io.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "buf.h"
#include "core/core.h"
#include "io/frames.h"

#define RECEIVE_SIZE ((size_t)128 << 10) /* the receive buffer, unless one frame is larger */
#define RECEIVE_ROOM ((size_t)16 << 10)  /* the least room for a recv */
#define ROWS_CHUNK ((size_t)64 << 10)    /* undecoded rows, handed over before more is received */
#define FRAMES_MAX                                                                                 \
    (1 << 20) /* frames for the core, but for execute_many: more than any response has */
#define LOOP_TICK (1 * HN_MS) /* of a pump that must not block */

void hn_io_begin(hn_io *io, int64_t handle, int fd, bool tls, int zs)
{
    io->handle = handle;
    io->fd = fd;
    io->tls = tls;
    io->result = io->raw = io->keep = io->marks = io->feeding = io->local = io->copy = io->data =
        false;
    io->pieces = io->next_piece = 0;
    io->flushed = true;
    io->send_error = 0;
    io->sent = 0;
    io->ctl.len = io->unasked = io->settings = 0;
    io->rows = 0;
    io->brief = io->again = false;
    io->binds = io->completed = io->completed_min = 0;
    io->tag_at = io->tag_end = 0;
    io->rows_max = INT64_MAX;
    io->frames_max = FRAMES_MAX;
    io->zs_left = zs;
    io->guards = io->described = 0;
    io->stopped = io->erred = io->broken = false;
    io->error = 0;
    io->events = 0;
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
    hn_buf_free(&io->notices);
}

/* Makes room for the next recv. The buffer grows with what has arrived, up to the end of the
 * current frame: a length that the server merely claims costs no memory. False if rows must be
 * decoded first. */
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
        hn_io_break(io, ENOMEM);
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
    hn_io_break(io, n < 0 ? errno : io->send_error);
    return HAD_END;
}

/* Nothing can be received or sent right now: sleeps, if the caller allows it. Whether to try again.
 * What follows the end of the response is not waited for. */
static bool await(hn_io *io, int block_ms)
{
    io->events = (short)((hn_io_is_over(io) ? 0 : POLLIN) | (hn_io_all_sent(io) ? 0 : POLLOUT));
    if (block_ms == 0)
        return false;
    struct pollfd p = {.fd = io->fd, .events = io->events};
    bool woken = poll(&p, 1, block_ms) > 0;
    if (!woken)
        io->events = 0;
    return woken;
}

/* A stream that never pauses must not keep signals and deadlines waiting, nor an event loop its
 * other work: true once a tick, or after block_ms. The clock is not read in the first turn, which
 * is the only one of a short response. */
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

/* Whether a blocking recv would be woken for nothing: on a unix socket it is, each time the server
 * reads some of what was sent to it, and a poll for input is not. With both on one core that is two
 * context switches, 3 of the 15 us of a round trip. Once rows come, the server has read everything,
 * and recv is cheaper. */
static bool wakes_early(const hn_io *io)
{
    return io->local && (io->rows == 0 || io->brief);
}

hn_pumped hn_io_pump(hn_io *io, int block_ms)
{
    hn_time began = 0;
    for (int turn = 0;; turn++) {
        bool had_pieces = !hn_io_all_sent(io);
        if (had_pieces)
            hn_io_send_some(io);
        hn_io_scan(io);
        if (io->broken || (hn_io_is_over(io) && hn_io_all_sent(io)))
            return HN_PUMPED_ALL;
        if ((io->held > 0 && io->scan - io->walk >= ROWS_CHUNK) || !make_room(io))
            return HN_PUMPED_ROWS;
        if (io->broken)
            return HN_PUMPED_ALL;
        if (tick_passed(turn, &began, block_ms))
            return look_up(io);
        bool fed =
            io->feeding && hn_io_all_sent(io) && (io->completed >= io->completed_min || io->erred);
        bool wait = block_ms >= HN_TICK_MS && hn_io_all_sent(io) && !fed && !io->tls;
        if (wait && wakes_early(io)) {
            if (!await(io, HN_TICK_MS))
                return look_up(io);
            wait = false;
        }
        /* There is no response yet to what has just been sent: a recv would be a wasted system
         * call. */
        bool early = had_pieces && block_ms == 0 && hn_io_all_sent(io) && io->send_error == 0 &&
                     !io->feeding && !io->tls;
        switch (hn_io_is_over(io) || early ? HAD_NOTHING : receive(io, wait)) {
        case HAD_BYTES:
            continue;
        case HAD_SIGNAL:
            return look_up(io);
        case HAD_END:
            return HN_PUMPED_ALL;
        case HAD_NOTHING:
        default:
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
