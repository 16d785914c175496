#ifdef __linux__
#define _GNU_SOURCE
#include <sched.h>
#endif
#include "scheduling.h"

void arpo_run_as_batch(void) {
#ifdef __linux__
  const struct sched_param none = {0};
  // Where it is not allowed, all goes on as before.
  (void)sched_setscheduler(0, SCHED_BATCH, &none);
#endif
}
