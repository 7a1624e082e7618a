/* The part of an operation in which the server's description meets the parameters: guess, learn
 * types, encode. hn_engine_advance() calls them for WANT_ENCODE and WANT_TYPES. */
#ifndef HN_DESCRIBE_H
#define HN_DESCRIBE_H

#include "engine/state.h"

/* Encodes the parameters for the description that this SQL had last time. The flags of the first
 * step, with body and call.plan filled; or -1 with an exception that no other description would
 * prevent. */
int hn_describe_guess(hn_engine *engine);

/* WANT_ENCODE: makes the description and encodes, or requests types first. */
void hn_describe_encode(hn_engine *engine);

/* WANT_TYPES: learns them and goes on. */
void hn_describe_learn(hn_engine *engine);

#endif
