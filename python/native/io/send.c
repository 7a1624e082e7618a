/* Sending pieces of bytes that the caller owns. */
#include "io/send.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "core/core.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

#define SEND_MAX                                                                                   \
    ((int64_t)1 << 20) /* sent between two checks of the clock: the peer may read as fast */
#define TLS_MAX ((size_t)64 << 10)  /* encrypted at a time: the transport keeps what is not sent */
#define JOIN_MAX ((size_t)16 << 10) /* TLS: pieces up to this are joined into one record */

void hn_io_send(hn_io *io, const uint8_t *data, size_t len)
{
    if (io->next_piece == io->pieces)
        io->pieces = io->next_piece = 0;
    if (len == 0 || io->send_error != 0)
        return;
    if (io->pieces == HN_PIECES_MAX) {
        hn_io_break(io, EMSGSIZE);
        return;
    }
    io->piece[io->pieces] = data;
    io->piece_len[io->pieces++] = len;
    io->flushed = false;
}

bool hn_io_all_sent(const hn_io *io)
{
    return io->send_error != 0 || (io->next_piece == io->pieces && io->flushed);
}

/* Nothing more can be sent on this connection. What the server has sent by now is still read, but
 * no more is waited for: a peer that has stopped reading may never close, and then no recv would
 * end. */
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
    int64_t until = io->sent + SEND_MAX;
    while (io->next_piece < io->pieces) {
        if (io->sent >= until)
            return;
        struct iovec iov[HN_PIECES_MAX];
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
    int64_t until = io->sent + SEND_MAX;
    while (!io->flushed && io->sent < until) {
        uint8_t *data = NULL;
        size_t len = 0;
        if (io->next_piece < io->pieces) {
            len = join_pieces(io, joined);
            data = len > 0 ? joined : (uint8_t *)(uintptr_t)io->piece[io->next_piece];
            len = len > 0 ? len : io->piece_len[io->next_piece];
            len = len < TLS_MAX ? len : TLS_MAX;
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

void hn_io_send_some(hn_io *io)
{
    if (io->tls)
        send_tls(io);
    else
        send_plain(io);
}
