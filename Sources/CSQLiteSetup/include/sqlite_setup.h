#ifndef ARPO_SQLITE_SETUP_H
#define ARPO_SQLITE_SETUP_H

// Settings of SQLite for the whole process; to be called once, before the first connection:
// memory that is taken is not counted, since every allocation would hold a lock that all connections share; paths may be
// URIs with parameters; and
// transactions reach the write-ahead log in large pieces (grouped_writes.h).
void arpo_set_up_sqlite(void);
#endif
