#ifndef ARPO_ALLOCATOR_H
#define ARPO_ALLOCATOR_H

// Gives large blocks back to the system when they are freed. glibc would raise its threshold as columns come and go between
// threads, and the heaps would grow with the length of an import (by a third over a log ten times as long); measured, it
// costs no time. Does nothing where the C library is another.
void arpo_return_large_blocks(void);
#endif
