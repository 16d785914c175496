#ifndef ARPO_SCHEDULING_H
#define ARPO_SCHEDULING_H

// Tells the system that the threads made from here on compute and nobody waits at a prompt for them: then none pushes
// another off its core when it wakes. An import hands every block from thread to thread, and its slowest thread, the one
// that decompresses, lost a third of its time to that. Does nothing where the system knows no such thing.
void arpo_run_as_batch(void);

// The processor that the calling thread runs on; -1 where that cannot be told.
int arpo_current_processor(void);

// Moves the calling thread to a processor, and leaves it free to move on: threads that begin together are otherwise often
// queued behind each other on one processor for milliseconds, while the next one has nothing to do. `home` is where the
// thread runs that they were begun by, the last one to be given another; `number` counts those that begin together.
void arpo_spread_thread(int home, int number);
#endif
