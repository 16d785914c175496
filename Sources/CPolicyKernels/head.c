#include "pool.h"

typedef struct {
  policy_pool *pool;
  float *z;
  int64_t rows, n, seen, top;
  float inverse_temperature;
  policy_softmax_sums *sums;
  float *rescale;
  int32_t *ids;
  float *values;
  const float *lse, *entropy, *dlogprob, *dentropy;
} job;

static void rows_of(const job *j, int thread, int64_t *begin, int64_t *end) {
  policy_share(j->rows, 1, thread, policy_pool_threads(j->pool), begin, end);
}

static void scan_task(void *context, int thread) {
  const job *j = context;
  int64_t b, e;
  rows_of(j, thread, &b, &e);
  policy_pool_variant(j->pool)->head_scan(j->z + b * j->n, e - b, j->n, j->inverse_temperature, j->sums + b,
                                          j->rescale ? j->rescale + b : 0);
}
void policy_head_scan(policy_pool *pool, float *z, int64_t rows, int64_t n, float inverse_temperature,
                      policy_softmax_sums *sums, float *rescale) {
  policy_run(pool, scan_task,
             &(job){.pool = pool, .z = z, .rows = rows, .n = n, .inverse_temperature = inverse_temperature,
                    .sums = sums, .rescale = rescale});
}

static void top_task(void *context, int thread) {
  const job *j = context;
  int64_t b, e;
  rows_of(j, thread, &b, &e);
  policy_pool_variant(j->pool)->head_top(j->z + b * j->n, e - b, j->n, j->seen, j->top, j->ids + b * j->top,
                                         j->values + b * j->top);
}
void policy_head_top(policy_pool *pool, const float *z, int64_t rows, int64_t n, int64_t seen, int64_t top,
                     int32_t *ids, float *values) {
  policy_run(pool, top_task,
             &(job){.pool = pool, .z = (float *)z, .rows = rows, .n = n, .seen = seen, .top = top, .ids = ids,
                    .values = values});
}

static void gradient_task(void *context, int thread) {
  const job *j = context;
  int64_t b, e;
  rows_of(j, thread, &b, &e);
  policy_pool_variant(j->pool)->head_gradient(j->z + b * j->n, e - b, j->n, j->inverse_temperature, j->lse + b,
                                              j->entropy + b, j->dlogprob + b, j->dentropy ? j->dentropy + b : 0);
}
void policy_head_gradient(policy_pool *pool, float *z, int64_t rows, int64_t n, float inverse_temperature,
                          const float *lse, const float *entropy, const float *dlogprob, const float *dentropy) {
  policy_run(pool, gradient_task,
             &(job){.pool = pool, .z = z, .rows = rows, .n = n, .inverse_temperature = inverse_temperature,
                    .lse = lse, .entropy = entropy, .dlogprob = dlogprob, .dentropy = dentropy});
}
