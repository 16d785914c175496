#include "grouped_writes.h"
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum {
  header_size = 24, // of a frame: https://sqlite.org/fileformat2.html#the_write_ahead_log
  // Bytes kept before they are written; SQLite's own VFS takes no more at once.
  group_size = (1 << 17) - 1
};

// One open file; the real one stands behind it.
typedef struct {
  sqlite3_file base;
  sqlite3_file *real;
  // Of a write-ahead log: bytes that belong at `at`, and how many.
  unsigned char *group;
  sqlite3_int64 at;
  int count;
  int is_log;
} file;

static sqlite3_file *real_of(sqlite3_file *f) { return ((file *)f)->real; }

static int flush(file *f) {
  if (f->count == 0) return SQLITE_OK;
  int code = f->real->pMethods->xWrite(f->real, f->group, f->count, f->at);
  // Kept after an error: whoever asks next gets it again.
  if (code == SQLITE_OK) f->count = 0;
  return code;
}

// Whether a frame's header marks the end of a transaction: it then tells the size of the database, which is never 0.
static int is_commit(const unsigned char *header) { return (header[4] | header[5] | header[6] | header[7]) != 0; }

static int file_write(sqlite3_file *base, const void *bytes, int count, sqlite3_int64 at) {
  file *f = (file *)base;
  if (!f->is_log) return f->real->pMethods->xWrite(f->real, bytes, count, at);
  int follows = f->count > 0 && at == f->at + f->count;
  if (!follows || f->count + count > group_size) {
    int code = flush(f);
    if (code != SQLITE_OK) return code;
  }
  // Only what begins with a frame's header is an append; single pages and the log's own header are put in their places.
  if (!follows && count != header_size) return f->real->pMethods->xWrite(f->real, bytes, count, at);
  if (f->group == NULL) f->group = malloc(group_size);
  if (f->group == NULL || count > group_size) return f->real->pMethods->xWrite(f->real, bytes, count, at);
  if (f->count == 0) f->at = at;
  memcpy(f->group + f->count, bytes, (size_t)count);
  f->count += count;
  // The page of the commit's frame comes in a write of its own, which follows nothing and goes straight through.
  return count == header_size && is_commit(bytes) ? flush(f) : SQLITE_OK;
}

static int file_read(sqlite3_file *base, void *bytes, int count, sqlite3_int64 at) {
  int code = flush((file *)base);
  return code == SQLITE_OK ? real_of(base)->pMethods->xRead(real_of(base), bytes, count, at) : code;
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size) {
  int code = flush((file *)base);
  return code == SQLITE_OK ? real_of(base)->pMethods->xTruncate(real_of(base), size) : code;
}

static int file_sync(sqlite3_file *base, int flags) {
  int code = flush((file *)base);
  return code == SQLITE_OK ? real_of(base)->pMethods->xSync(real_of(base), flags) : code;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *size) {
  int code = flush((file *)base);
  return code == SQLITE_OK ? real_of(base)->pMethods->xFileSize(real_of(base), size) : code;
}

static int file_close(sqlite3_file *base) {
  file *f = (file *)base;
  // What is kept here belongs to a transaction that never ended.
  free(f->group);
  f->group = NULL;
  return f->real->pMethods->xClose(f->real);
}

static int file_lock(sqlite3_file *f, int level) { return real_of(f)->pMethods->xLock(real_of(f), level); }

static int file_unlock(sqlite3_file *f, int level) { return real_of(f)->pMethods->xUnlock(real_of(f), level); }

static int file_reserved(sqlite3_file *f, int *out) {
  return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}

static int file_control(sqlite3_file *f, int operation, void *argument) {
  return real_of(f)->pMethods->xFileControl(real_of(f), operation, argument);
}

static int file_sector(sqlite3_file *f) { return real_of(f)->pMethods->xSectorSize(real_of(f)); }

static int file_characteristics(sqlite3_file *f) {
  return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static int file_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out) {
  return real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, out);
}

static int file_shm_lock(sqlite3_file *f, int offset, int count, int flags) {
  return real_of(f)->pMethods->xShmLock(real_of(f), offset, count, flags);
}

static void file_shm_barrier(sqlite3_file *f) { real_of(f)->pMethods->xShmBarrier(real_of(f)); }

static int file_shm_unmap(sqlite3_file *f, int remove) {
  return real_of(f)->pMethods->xShmUnmap(real_of(f), remove);
}

static int file_fetch(sqlite3_file *f, sqlite3_int64 at, int count, void **out) {
  return real_of(f)->pMethods->xFetch(real_of(f), at, count, out);
}

static int file_unfetch(sqlite3_file *f, sqlite3_int64 at, void *bytes) {
  return real_of(f)->pMethods->xUnfetch(real_of(f), at, bytes);
}

// By the version of the real file's methods: SQLite asks for shared memory and mapped pages only where there are some.
static const sqlite3_io_methods methods[3] = {
#define METHODS(version)                                                                                       \
  {                                                                                                            \
    version, file_close, file_read, file_write, file_truncate, file_sync, file_size, file_lock, file_unlock,   \
        file_reserved, file_control, file_sector, file_characteristics, file_shm_map, file_shm_lock,           \
        file_shm_barrier, file_shm_unmap, file_fetch, file_unfetch                                             \
  }
    METHODS(1), METHODS(2), METHODS(3)};

static sqlite3_vfs grouped;
static sqlite3_vfs *system_vfs;

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags, int *out_flags) {
  (void)vfs;
  file *f = (file *)base;
  memset(f, 0, sizeof *f);
  f->real = (sqlite3_file *)(f + 1);
  f->is_log = (flags & SQLITE_OPEN_WAL) != 0;
  int code = system_vfs->xOpen(system_vfs, name, f->real, flags, out_flags);
  if (f->real->pMethods != NULL) {
    int version = f->real->pMethods->iVersion;
    f->base.pMethods = &methods[version < 1 ? 0 : version > 3 ? 2 : version - 1];
  }
  return code;
}

void arpo_register_grouped_writes(void) {
  system_vfs = sqlite3_initialize() == SQLITE_OK ? sqlite3_vfs_find(NULL) : NULL;
  if (system_vfs == NULL) return;
  // All but opening is the system's own, whose functions find what they need in the copy too.
  grouped = *system_vfs;
  grouped.zName = "arpo-grouped";
  grouped.pNext = NULL;
  grouped.szOsFile = (int)sizeof(file) + system_vfs->szOsFile;
  grouped.xOpen = open_file;
  sqlite3_vfs_register(&grouped, 1);
}
