#ifndef ARPO_ALLOCATOR_H
#define ARPO_ALLOCATOR_H
#include <stddef.h>

// Gives large blocks back to the system when they are freed, and keeps a few megabytes of small ones a thread. glibc would
// raise the first threshold as columns come and go between threads, and the heaps would grow with the length of an import
// (by a third over a log ten times as long); measured, it costs no time. And it would give back what a group took after
// every group, only to ask for it again. Does nothing where the C library is another.
void arpo_tune_allocator(void);

// Has the system give the calling thread's heap about so many bytes at once, which the thread is going to use anyway: page by
// page, as they are first written to, takes several times as long. Does nothing where that cannot be asked for.
void arpo_warm_heap(size_t bytes);
#endif
