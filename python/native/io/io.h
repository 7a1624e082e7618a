/* One round of I/O with the server: sends what the core laid out, and receives to the end of the
 * response.
 *
 * The pump splits frames and does not interpret them: DataRows stay in the receive buffer until
 * they are decoded, copy data too where it is the result, every other frame is collected for the
 * core. It runs without the GIL and uses no Python object. An hn_io belongs to one operation; its
 * buffers survive from one statement to the next.
 */
#ifndef HN_IO_H
#define HN_IO_H

#include "io/round.h"
#include "io/send.h"
#include "native.h"

typedef enum hn_pumped {
    HN_PUMPED_ALL,  /* the response is complete, or the connection is broken (io->broken) */
    HN_PUMPED_SENT, /* feeding: all has been sent, more can follow */
    HN_PUMPED_ROWS, /* decode the rows in [walk, scan), then pump again */
    HN_PUMPED_WAIT  /* nothing more for now: wait for io->events on fd (0: only look up) */
} hn_pumped;

/* Begin a round. What a previous round of the same operation received beyond its end is kept. */
void hn_io_begin(hn_io *io, int64_t handle, int fd, bool tls, int zs);

/* Go on with the round. With block_ms 0 it never blocks; else it may sleep that long at a time. It
 * relies on the socket's receive timeout of HN_TICK_MS. The GIL is not needed. */
hn_pumped hn_io_pump(hn_io *io, int block_ms);

/* All rows in [walk, scan) are decoded, or not needed. */
void hn_io_taken(hn_io *io);

/* The operation is over: forget what lies beyond its end. */
void hn_io_reset(hn_io *io);
void hn_io_free(hn_io *io);

#endif
