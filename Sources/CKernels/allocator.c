#include "allocator.h"
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

void arpo_return_large_blocks(void) {
#ifdef __GLIBC__
  // A threshold that is set does not move any more.
  mallopt(M_MMAP_THRESHOLD, 128 << 10);
#endif
}
