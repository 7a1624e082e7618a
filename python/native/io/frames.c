/* The frames of a response. */
#include "io/frames.h"

#include <errno.h>
#include <string.h>

#include "buf.h"

#define FRAME_MAX (1u << 30)       /* PostgreSQL's own limit for a message */
#define UNSOLICITED_MAX (1u << 20) /* of unsolicited messages, in one round */
#define CTL_MAX (256u << 20)       /* bytes for the core: more than any response has */

static void collect(hn_io *io, const uint8_t *frame, size_t total)
{
    if (frame[0] == 'A' && (io->unasked += total) > UNSOLICITED_MAX)
        return;
    if (frame[0] == 'S')
        io->settings += total; /* which cannot be spared */
    if (io->settings > UNSOLICITED_MAX || io->ctl.len > CTL_MAX || io->frames_max-- == 0) {
        hn_io_break(io, EPROTO);
        return;
    }
    if (hn_buf_grow(&io->ctl, total) < 0) {
        hn_io_break(io, ENOMEM);
        return;
    }
    memcpy(io->ctl.data + io->ctl.len, frame, total);
    io->ctl.len += total;
}

/* For the caller, who gets them with the outcome. What exceeds the limit is dropped: they are no
 * part of the response. */
static void collect_notice(hn_io *io, const uint8_t *frame, size_t total)
{
    hn_buf *notices = &io->notices;
    if (notices->len + total > UNSOLICITED_MAX || hn_buf_grow(notices, total) < 0)
        return;
    memcpy(notices->data + notices->len, frame, total);
    notices->len += total;
}

#define AGAIN_SIZE (HN_FRAME_HEAD + 4)

/* Whether this CommandComplete equals the last collected one; then it is only counted. */
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

bool hn_io_is_over(const hn_io *io)
{
    return io->broken || io->stopped || (io->zs_left <= 0 && !io->feeding);
}

static void take_frame(hn_io *io, const uint8_t *frame, size_t total)
{
    switch (frame[0]) {
    case 'D':
        if (io->rows++ == io->rows_max)
            hn_io_break(io, EPROTO);
        else if (io->raw)
            collect(io, frame, total);
        else if (io->keep)
            io->held++;
        return;
    case 'd':
        io->rows += io->data;
        io->held += io->data && io->keep;
        return;
    case 'N':
        collect_notice(io, frame, total);
        return;
    case '2':
        if (!io->brief)
            break;
        io->binds++;
        return;
    case 'C':
        io->completed++;
        io->held += io->marks && io->keep;
        io->stopped = io->copy;
        if (!io->brief)
            break;
        collect_tag(io, frame, total);
        return;
    case 'I':
        io->completed++;
        io->stopped = io->copy;
        io->held += io->marks && io->keep;
        break;
    case 'Z':
        io->zs_left--;
        break;
    case 'E':
        io->erred = true;
        io->stopped = io->copy;
        break;
    case 'T':
        io->held += io->marks && io->keep;
        if (io->described > 0) {
            io->described--;
            if (io->described == 0)
                break;
        }
        if (io->guards > 0) {
            static const uint8_t marker[HN_FRAME_HEAD] = {HN_GUARDED, 0, 0, 0, HN_FRAME_HEAD - 1};
            io->guards--; /* not the result's */
            collect(io, marker, sizeof marker);
            return;
        }
        io->stopped = io->result;
        break;
    case 'G':
    case 'H':
    case 'W':
        io->stopped = io->result || io->brief || io->marks || io->copy;
        break;
    default:
        break;
    }
    collect(io, frame, total);
}

/* The whole length of the frame at scan; 0 if that is not known yet. */
static size_t frame_size(const hn_io *io)
{
    if (io->in.len - io->scan < HN_FRAME_HEAD)
        return 0;
    return 1 + (size_t)hn_get_u32(io->in.data + io->scan + 1);
}

void hn_io_scan(hn_io *io)
{
    while (!hn_io_is_over(io)) {
        size_t total = frame_size(io);
        if (total == 0)
            break;
        if (total < HN_FRAME_HEAD || total > FRAME_MAX) {
            hn_io_break(io, EPROTO);
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
