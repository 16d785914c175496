#ifndef ARPO_SCHEDULING_H
#define ARPO_SCHEDULING_H

// Tells the system that the threads made from here on compute and nobody waits at a prompt for them: then none pushes
// another off its core when it wakes. An import hands every block from thread to thread, and its slowest thread, the one
// that decompresses, lost a third of its time to that. Does nothing where the system knows no such thing.
void arpo_run_as_batch(void);

/// Puts the calling thread on one of the processors, and leaves it free to move: threads that begin together are otherwise
/// often queued behind each other on one processor for milliseconds, while the next one has nothing to do.
///
/// \param number of the thread among those that begin together.
void arpo_spread_thread(int number);
#endif
