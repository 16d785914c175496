#include "allocator.h"
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

void arpo_tune_allocator(void) {
#ifdef __GLIBC__
  // A threshold that is set does not move any more.
  mallopt(M_MMAP_THRESHOLD, 128 << 10);
  mallopt(M_TRIM_THRESHOLD, 4 << 20);
  mallopt(M_TOP_PAD, 1 << 20);
#endif
}
