#ifndef ARPO_GROUPED_WRITES_H
#define ARPO_GROUPED_WRITES_H

// A SQLite VFS over the system's own that writes the frames of a transaction to the write-ahead log in large pieces.
//
// SQLite writes every page of a transaction with two calls, 24 bytes and a page; in an import those calls are a fifth of
// all the time. Here frames are kept until 128 KiB have come together or the transaction commits. What others may see does
// not change: a frame counts for other connections, and after a crash, once the frame that marks the commit stands in the
// log, and everything up to that frame is written, in order, before its writing returns (with its error, if any). Nothing
// but the appending of frames is touched: databases, journals, locks, shared memory and syncs go straight through.

// Makes it the process's default VFS; to be called once. Where that fails, all goes on with the system's own.
void arpo_register_grouped_writes(void);
#endif
