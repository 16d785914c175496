#ifndef POLICY_POOL_H
#define POLICY_POOL_H
#include "variant.h"
#include <stddef.h>

// What a region of parallel work runs on every thread.
typedef void (*policy_task)(void *context, int thread);

void policy_run(policy_pool *pool, policy_task task, void *context);
// Inside a task: waits until every thread is here.
void policy_barrier(policy_pool *pool);
// Inside a task: scratch memory of this thread, or with thread = -1 of the pool; grows, keeps nothing.
float *policy_scratch(policy_pool *pool, int thread, int64_t floats);
const policy_variant *policy_pool_variant(const policy_pool *pool);

// The part of `count` items that a thread works on, in units of `unit` items.
static inline void policy_share(int64_t count, int64_t unit, int thread, int threads, int64_t *begin, int64_t *end) {
  int64_t units = (count + unit - 1) / unit;
  int64_t b = units * thread / threads * unit, e = units * (thread + 1) / threads * unit;
  *begin = b < count ? b : count;
  *end = e < count ? e : count;
}
#endif
