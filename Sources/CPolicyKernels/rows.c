#include "pool.h"
#include <stddef.h>

// Rows, or where a sum over rows is taken columns, shared out among the threads.

enum { CACHE_LINE = 16 };

typedef struct {
  policy_pool *pool;
  const void *table;
  const float *x, *w, *rms, *dy, *start, *bias;
  float *y, *out, *dw;
  const int32_t *ids;
  int64_t rows, n, ld;
  float eps;
  int32_t type;
} job;

static void share(const job *j, int64_t count, int64_t unit, int thread, int64_t *begin, int64_t *end) {
  policy_share(count, unit, thread, policy_pool_threads(j->pool), begin, end);
}

#define TASK(NAME, COUNT, UNIT, CALL)                          \
  static void NAME(void *context, int thread) {                \
    const job *j = context;                                    \
    const policy_variant *v = policy_pool_variant(j->pool);    \
    int64_t b, e;                                              \
    share(j, COUNT, UNIT, thread, &b, &e);                     \
    if (b < e) CALL;                                           \
  }

TASK(gather_task, j->rows, 1, v->gather(j->table, j->type, j->n, j->ids + b, e - b, j->out + b * j->n))
void policy_gather(policy_pool *pool, const void *table, int32_t type, int64_t n, const int32_t *ids, int64_t count,
                   float *out) {
  policy_run(pool, gather_task,
             &(job){.pool = pool, .table = table, .type = type, .n = n, .ids = ids, .rows = count, .out = out});
}

TASK(scatter_task, j->n, CACHE_LINE, v->scatter_add(j->x, j->ids, j->rows, j->n, b, e, j->out))
void policy_scatter_add(policy_pool *pool, const float *x, const int32_t *ids, int64_t count, int64_t n, float *table) {
  policy_run(pool, scatter_task, &(job){.pool = pool, .x = x, .ids = ids, .rows = count, .n = n, .out = table});
}

TASK(rms_norm_task, j->rows, 1,
     v->rms_norm(j->x + b * j->n, j->w, j->eps, e - b, j->n, j->y + b * j->n, j->out + b))
void policy_rms_norm(policy_pool *pool, const float *x, const float *w, float eps, int64_t rows, int64_t n, float *y,
                     float *rms) {
  policy_run(pool, rms_norm_task,
             &(job){.pool = pool, .x = x, .w = w, .eps = eps, .rows = rows, .n = n, .y = y, .out = rms});
}

// Each thread sums the gradient of the weight over its rows; the caller adds them up in order.
static void rms_norm_backward_task(void *context, int thread) {
  const job *j = context;
  int64_t b, e;
  share(j, j->rows, 1, thread, &b, &e);
  float *dw = j->dw ? j->dw + thread * j->n : NULL;
  for (int64_t i = 0; dw && i < j->n; i++) dw[i] = 0;
  policy_pool_variant(j->pool)->rms_norm_backward(j->x + b * j->n, j->w, j->rms + b, j->dy + b * j->n, e - b, j->n,
                                                  j->start ? j->start + b * j->n : NULL, j->out + b * j->n, dw);
}
void policy_rms_norm_backward(policy_pool *pool, const float *x, const float *w, const float *rms, const float *dy,
                              int64_t rows, int64_t n, const float *start, float *dx, float *dw) {
  int threads = policy_pool_threads(pool);
  float *sums = dw ? policy_scratch(pool, -1, threads * n) : NULL;
  policy_run(pool, rms_norm_backward_task,
             &(job){.pool = pool, .x = x, .w = w, .rms = rms, .dy = dy, .rows = rows, .n = n, .start = start,
                    .out = dx, .dw = sums});
  for (int t = 0; dw && t < threads; t++) policy_pool_variant(pool)->axpy(1, sums + t * n, n, dw);
}

TASK(swiglu_task, j->rows, 1, v->swiglu(j->x + b * 2 * j->n, e - b, j->n, j->out + b * j->n))
void policy_swiglu(policy_pool *pool, const float *gate_up, int64_t rows, int64_t n, float *out) {
  policy_run(pool, swiglu_task, &(job){.pool = pool, .x = gate_up, .rows = rows, .n = n, .out = out});
}

TASK(swiglu_backward_task, j->rows, 1,
     v->swiglu_backward(j->y + b * 2 * j->n, j->dy + b * j->n, e - b, j->n, j->out ? j->out + b * j->n : NULL))
void policy_swiglu_backward(policy_pool *pool, float *gate_up, const float *dout, int64_t rows, int64_t n, float *out) {
  policy_run(pool, swiglu_backward_task,
             &(job){.pool = pool, .y = gate_up, .dy = dout, .rows = rows, .n = n, .out = out});
}

TASK(column_sums_task, j->n, CACHE_LINE, v->column_sums(j->x, j->rows, j->ld, b, e, j->out))
void policy_column_sums(policy_pool *pool, const float *x, int64_t rows, int64_t n, int64_t ld, float *out) {
  policy_run(pool, column_sums_task, &(job){.pool = pool, .x = x, .rows = rows, .n = n, .ld = ld, .out = out});
}

TASK(add_row_task, j->rows, 1, v->add_row(j->out + b * j->ld, e - b, j->n, j->ld, j->bias))
void policy_add_row(policy_pool *pool, float *x, int64_t rows, int64_t n, int64_t ld, const float *bias) {
  policy_run(pool, add_row_task, &(job){.pool = pool, .out = x, .rows = rows, .n = n, .ld = ld, .bias = bias});
}

static void add_transposed(const float *x, int64_t rows, int64_t columns, int64_t begin, int64_t end, float *y) {
  for (int64_t c = begin; c < end; c++) {
    for (int64_t r = 0; r < rows; r++) y[c * rows + r] += x[r * columns + c];
  }
}
static void add_transposed_task(void *context, int thread) {
  const job *j = context;
  int64_t b, e;
  share(j, j->n, 1, thread, &b, &e);
  add_transposed(j->x, j->rows, j->n, b, e, j->out);
}
void policy_add_transposed(policy_pool *pool, const float *x, int64_t rows, int64_t columns, float *y) {
  policy_run(pool, add_transposed_task, &(job){.pool = pool, .x = x, .rows = rows, .n = columns, .out = y});
}

TASK(scale_rows_task, j->rows, 1, v->scale_rows(j->out + b * j->n, e - b, j->n, j->w + b))
void policy_scale_rows(policy_pool *pool, float *x, int64_t rows, int64_t n, const float *factors) {
  policy_run(pool, scale_rows_task, &(job){.pool = pool, .out = x, .rows = rows, .n = n, .w = factors});
}
