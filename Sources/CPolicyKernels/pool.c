#include "pool.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

// How often a waiting thread looks before it gives the processor away, about a tenth of a millisecond: regions of a
// pass follow each other within microseconds, and waking a thread costs more than most of them last.
enum { SPINS = 3000 };

typedef struct {
  float *memory;
  int64_t floats;
} scratch;

struct policy_pool {
  int threads;
  const policy_variant *variant;
  pthread_t *ids;
  int started;
  policy_task task;
  void *context;
  _Atomic uint32_t generation, pending;
  _Atomic int stop, sleepers, caller_sleeps;
  pthread_mutex_t lock;
  pthread_cond_t wake, done;
  _Atomic uint32_t arrived, phase;
  scratch *scratch;  // one a thread, then the pool's
};

typedef struct {
  policy_pool *pool;
  int thread;
} worker;

static inline void pause_a_little(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static void *work(void *argument) {
  worker w = *(worker *)argument;
  free(argument);
  policy_pool *p = w.pool;
  uint32_t seen = 0;
  for (;;) {
    int spins = 0;
    while (atomic_load_explicit(&p->generation, memory_order_acquire) == seen) {
      if (++spins < SPINS) {
        pause_a_little();
        continue;
      }
      pthread_mutex_lock(&p->lock);
      atomic_fetch_add(&p->sleepers, 1);
      while (atomic_load(&p->generation) == seen) pthread_cond_wait(&p->wake, &p->lock);
      atomic_fetch_sub(&p->sleepers, 1);
      pthread_mutex_unlock(&p->lock);
    }
    seen++;
    if (atomic_load(&p->stop)) return NULL;
    p->task(p->context, w.thread);
    if (atomic_fetch_sub(&p->pending, 1) == 1 && atomic_load(&p->caller_sleeps)) {
      pthread_mutex_lock(&p->lock);
      pthread_cond_signal(&p->done);
      pthread_mutex_unlock(&p->lock);
    }
  }
}

static void announce(policy_pool *p) {
  atomic_fetch_add(&p->generation, 1);
  if (atomic_load(&p->sleepers) > 0) {
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
  }
}

policy_pool *policy_pool_create(int32_t threads, int32_t isa) {
  const policy_variant *variant = policy_variant_of(isa);
  if (threads < 1 || !variant) return NULL;
  policy_pool *p = calloc(1, sizeof *p);
  if (!p) return NULL;
  p->threads = threads;
  p->variant = variant;
  p->ids = calloc((size_t)threads, sizeof *p->ids);
  p->scratch = calloc((size_t)threads + 1, sizeof *p->scratch);
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->wake, NULL);
  pthread_cond_init(&p->done, NULL);
  int ok = p->ids && p->scratch;
  for (int t = 1; ok && t < threads; t++) {
    worker *w = malloc(sizeof *w);
    if (!w) {
      ok = 0;
      break;
    }
    *w = (worker){p, t};
    if (pthread_create(&p->ids[t], NULL, work, w)) {
      free(w);
      ok = 0;
      break;
    }
    p->started++;
  }
  if (ok) return p;
  policy_pool_free(p);
  return NULL;
}

void policy_pool_free(policy_pool *p) {
  if (!p) return;
  atomic_store(&p->stop, 1);
  announce(p);
  for (int t = 1; t <= p->started; t++) pthread_join(p->ids[t], NULL);
  if (p->scratch) {
    for (int t = 0; t <= p->threads; t++) policy_free(p->scratch[t].memory);
  }
  pthread_mutex_destroy(&p->lock);
  pthread_cond_destroy(&p->wake);
  pthread_cond_destroy(&p->done);
  free(p->scratch);
  free(p->ids);
  free(p);
}

int32_t policy_pool_threads(const policy_pool *p) { return p->threads; }
int32_t policy_pool_isa(const policy_pool *p) { return p->variant->isa; }
const policy_variant *policy_pool_variant(const policy_pool *p) { return p->variant; }

void policy_run(policy_pool *p, policy_task task, void *context) {
  if (p->threads == 1) {
    task(context, 0);
    return;
  }
  p->task = task;
  p->context = context;
  atomic_store(&p->pending, (uint32_t)p->threads - 1);
  announce(p);
  task(context, 0);
  for (int spins = 0; atomic_load_explicit(&p->pending, memory_order_acquire) > 0; spins++) {
    if (spins < SPINS) {
      pause_a_little();
      continue;
    }
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->caller_sleeps, 1);
    while (atomic_load(&p->pending) > 0) pthread_cond_wait(&p->done, &p->lock);
    atomic_store(&p->caller_sleeps, 0);
    pthread_mutex_unlock(&p->lock);
  }
}

void policy_barrier(policy_pool *p) {
  if (p->threads == 1) return;
  uint32_t phase = atomic_load(&p->phase);
  if (atomic_fetch_add(&p->arrived, 1) + 1 == (uint32_t)p->threads) {
    atomic_store(&p->arrived, 0);
    atomic_fetch_add(&p->phase, 1);
    return;
  }
  for (int spins = 0; atomic_load_explicit(&p->phase, memory_order_acquire) == phase; spins++) {
    if (spins < SPINS) {
      pause_a_little();
    } else {
      sched_yield();
    }
  }
}

float *policy_scratch(policy_pool *p, int thread, int64_t floats) {
  scratch *s = &p->scratch[thread < 0 ? p->threads : thread];
  if (s->floats < floats) {
    policy_free(s->memory);
    s->memory = policy_alloc(floats);
    s->floats = floats;
    if (!s->memory) {
      fprintf(stderr, "out of memory: %lld bytes for a kernel\n", (long long)floats * 4);
      abort();
    }
  }
  return s->memory;
}

// Large blocks begin at a large page, so that the system can back them by such pages.
float *policy_alloc(int64_t count) {
  size_t bytes = ((size_t)(count > 0 ? count : 1) * sizeof(float) + 63) / 64 * 64;
  size_t huge = (size_t)1 << 21;
  void *p = NULL;
  if (posix_memalign(&p, bytes >= huge ? huge : 64, bytes)) return NULL;
#if defined(__linux__)
  if (bytes >= huge) madvise(p, bytes, MADV_HUGEPAGE);
#endif
  return p;
}

void policy_free(float *p) { free(p); }
