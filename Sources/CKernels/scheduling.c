#ifdef __linux__
#define _GNU_SOURCE
#include <sched.h>
#endif
#include "scheduling.h"

void arpo_run_as_batch(void) {
#ifdef __linux__
  const struct sched_param none = {0};
  // What somebody chose for this process stays; where the change is not allowed, all goes on as before.
  if (sched_getscheduler(0) == SCHED_OTHER) (void)sched_setscheduler(0, SCHED_BATCH, &none);
#endif
}
