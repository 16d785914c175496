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

int arpo_current_processor(void) {
#ifdef __linux__
  return sched_getcpu();
#else
  return -1;
#endif
}

void arpo_spread_thread(int home, int number) {
#ifdef __linux__
  cpu_set_t allowed;
  if (home < 0 || number < 0 || sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  int count = CPU_COUNT(&allowed);
  if (count < 2) return;
  // The processors behind the home, in turn.
  int skip = number % count;
  int cpu = home % CPU_SETSIZE;
  while (1) {
    cpu = (cpu + 1) % CPU_SETSIZE;
    if (CPU_ISSET(cpu, &allowed) && skip-- == 0) break;
  }
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  // The first call moves the thread at once, the second lets it go where the system wants it.
  if (sched_setaffinity(0, sizeof one, &one) == 0) (void)sched_setaffinity(0, sizeof allowed, &allowed);
#else
  (void)home;
  (void)number;
#endif
}
