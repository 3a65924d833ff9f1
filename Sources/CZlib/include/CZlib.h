// zlib for Swift: what of its interface is macros, as functions. For reading compressed traces.
#ifndef CZLIB_H
#define CZLIB_H

#include <zlib.h>

/// Prepares `stream` to read gzip (RFC 1952), with its header and checksum.
static inline int limitd_gzip_begin(z_stream *stream) {
  return inflateInit2(stream, 16 + MAX_WBITS);
}

#endif
