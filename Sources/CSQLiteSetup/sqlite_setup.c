#include "sqlite_setup.h"
#include "grouped_writes.h"
#include <sqlite3.h>

void arpo_set_up_sqlite(void) {
  sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  // A database that nobody can change is opened with a parameter.
  sqlite3_config(SQLITE_CONFIG_URI, 1);
  arpo_register_grouped_writes();
}
