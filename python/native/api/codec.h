/* The codec alone as Python functions, for tests and fuzzing. */
#ifndef HN_API_CODEC_H
#define HN_API_CODEC_H

#include <Python.h>

/* encode_body, decode_row and types, ended by an empty entry. */
extern PyMethodDef hn_codec_methods[];

#endif
