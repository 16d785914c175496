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

void arpo_spread_thread(int number) {
#ifdef __linux__
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  int count = CPU_COUNT(&allowed);
  if (count < 2 || number < 0) return;
  int skip = number % count;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &allowed) || skip-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    // The first call moves the thread at once, the second lets it go where the system wants it.
    if (sched_setaffinity(0, sizeof one, &one) == 0) (void)sched_setaffinity(0, sizeof allowed, &allowed);
    return;
  }
#else
  (void)number;
#endif
}
