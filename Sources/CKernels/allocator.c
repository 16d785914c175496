#ifdef __linux__
#define _GNU_SOURCE
#endif
#include "allocator.h"
#include <stdint.h>
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#include <sys/mman.h>
#endif

void arpo_tune_allocator(void) {
#ifdef __GLIBC__
  // A threshold that is set does not move any more.
  mallopt(M_MMAP_THRESHOLD, 128 << 10);
  mallopt(M_TRIM_THRESHOLD, 4 << 20);
  mallopt(M_TOP_PAD, 1 << 20);
#endif
}

void arpo_warm_heap(size_t bytes) {
#if defined(__GLIBC__) && defined(MADV_POPULATE_WRITE)
  // Blocks that are too small to be mapped on their own come from the heap, one behind the other, and go back to it whole.
  enum { BLOCK = 120 << 10, MOST = 64, PAGE = 4096 };
  void *blocks[MOST];
  size_t count = bytes / BLOCK < MOST ? bytes / BLOCK : MOST;
  for (size_t i = 0; i < count; i++) {
    blocks[i] = malloc(BLOCK);
    uintptr_t first = ((uintptr_t)blocks[i] + PAGE - 1) / PAGE * PAGE;
    uintptr_t end = ((uintptr_t)blocks[i] + BLOCK) / PAGE * PAGE;
    if (blocks[i]) (void)madvise((void *)first, end - first, MADV_POPULATE_WRITE);
  }
  for (size_t i = 0; i < count; i++) free(blocks[i]);
#else
  (void)bytes;
#endif
}
