// Vectors of 16 bytes, which every processor that Swift runs on has: SSE2, NEON.
#define LANES 4
#if defined(__aarch64__)
#define TILE_ROWS 8
#else
#define TILE_ROWS 4
#endif
#define TILE_VECTORS 2
#define VARIANT policy_portable
#define VARIANT_ISA POLICY_PORTABLE
#include "variant_body.h"
