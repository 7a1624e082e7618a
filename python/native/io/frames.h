/* The frames of a response: which are kept, counted or dropped, and which one ends the round. */
#ifndef HN_FRAMES_H
#define HN_FRAMES_H

#include "io/round.h"

/* Takes in every whole frame that has been received, up to the end of the round. */
void hn_io_scan(hn_io *io);

/* Whether nothing more is to be received in this round. */
bool hn_io_is_over(const hn_io *io);

#endif
