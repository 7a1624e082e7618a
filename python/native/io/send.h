/* Sending pieces of bytes that the caller owns, in order, without blocking. */
#ifndef HN_SEND_H
#define HN_SEND_H

#include "io/round.h"

/* Adds a piece to send: HN_PIECES_MAX at most before all is sent; one more breaks the round. */
void hn_io_send(hn_io *io, const uint8_t *data, size_t len);

/* Sends as much as the connection accepts. */
void hn_io_send_some(hn_io *io);

/* Whether all has been sent, or nothing more can be. */
bool hn_io_all_sent(const hn_io *io);

#endif
