#include <zlib.h>

// inflateInit2 is a macro, which Swift cannot import.
static inline int arpo_inflate_init_gzip(z_stream *stream) { return inflateInit2(stream, 15 + 16); }
