/* The part of an operation in which the server's description meets the parameters: guess a description,
 * learn types, encode. The functions are hn_engine_advance's for WANT_ENCODE and WANT_TYPES. */
#ifndef HN_DESCRIBE_H
#define HN_DESCRIBE_H

#include "engine/state.h"

/* Encode the parameters for the description that this SQL had last time. The flags of the first step, with
 * body and call.plan filled; or -1 with an exception that no other description would prevent. */
int hn_describe_guess(hn_engine *engine);

/* WANT_ENCODE: make the description and encode, or ask for types first. */
void hn_describe_encode(hn_engine *engine);

/* WANT_TYPES: learn them and go on. */
void hn_describe_learn(hn_engine *engine);

#endif
