#include "pool.h"
#include <stdlib.h>
#include <string.h>

// Blocks of queries are shared out by the number of keys that they see.

typedef struct {
  policy_pool *pool;
  const policy_attention *a;
  policy_block *blocks;
  int64_t count;
  int64_t *bounds;  // blocks of part i: bounds[i] ..< bounds[i + 1]
  int64_t parts;    // of one key/value head in the backward pass
  float *out, *lse;
  const float *given_out, *given_lse, *dout;
  float *dq, *dk, *dv;
} job;

static int64_t earlier_keys(const policy_attention *a, const policy_segment *s) {
  int64_t keys = 0;
  for (int r = 0; r < s->ranges; r++) keys += a->ranges[s->range + r].end - a->ranges[s->range + r].begin;
  return keys;
}

// The blocks of a group, and in costs[i] what all before block i cost together.
static int64_t list_blocks(const policy_attention *a, int group, int lanes, policy_block *blocks, int64_t *costs) {
  int64_t n = 0, total = 0;
  int per_group = a->shape.heads / a->shape.groups;
  for (int64_t i = 0; i < a->segment_count; i++) {
    const policy_segment *s = &a->segments[i];
    int64_t before = earlier_keys(a, s);
    int pairs = s->count * per_group;
    int blocks_here = (pairs + lanes - 1) / lanes;
    for (int k = 0; k < blocks_here; k++) {
      int first = k * lanes, count = pairs - first < lanes ? pairs - first : lanes;
      if (blocks) {
        blocks[n] = (policy_block){group, (int32_t)i, first, count};
        costs[n] = total;
      }
      // The 16 stands for what a block costs whatever it sees.
      total += before + (first + count - 1) / per_group + 1 + 16;
      n++;
    }
  }
  if (costs) costs[n] = total;
  return n;
}

// bounds[i] = first block whose cost begins at or behind i / parts of the whole.
static void cut(const int64_t *costs, int64_t n, int64_t parts, int64_t *bounds) {
  int64_t b = 0;
  for (int64_t i = 0; i <= parts; i++) {
    while (b < n && costs[b] * parts < costs[n] * i) b++;
    bounds[i] = i == parts ? n : b;
  }
}

static float *scratch_of(const job *j, int thread) {
  return policy_scratch(j->pool, thread, policy_pool_variant(j->pool)->attend_scratch(j->a->shape));
}

static void attend_task(void *context, int thread) {
  const job *j = context;
  float *scratch = scratch_of(j, thread);
  for (int64_t i = j->bounds[thread]; i < j->bounds[thread + 1]; i++) {
    policy_pool_variant(j->pool)->attend(j->a, j->blocks[i], j->out, j->lse, scratch);
  }
}

void policy_attend(policy_pool *pool, const policy_attention *a, float *out, float *lse) {
  int threads = policy_pool_threads(pool), lanes = policy_pool_variant(pool)->tile_columns;
  int64_t each = list_blocks(a, 0, lanes, NULL, NULL), n = each * a->shape.groups;
  policy_block *blocks = malloc((size_t)(n + 1) * sizeof *blocks);
  int64_t *costs = malloc((size_t)(n + 1) * sizeof *costs), *bounds = malloc((size_t)(threads + 1) * sizeof *bounds);
  if (!blocks || !costs || !bounds) abort();
  int64_t total = 0;
  for (int g = 0; g < a->shape.groups; g++) {
    list_blocks(a, g, lanes, blocks + g * each, costs + g * each);
    for (int64_t i = 0; i <= each; i++) costs[g * each + i] += total;
    total = costs[(g + 1) * each];
  }
  cut(costs, n, threads, bounds);
  policy_run(pool, attend_task,
             &(job){.pool = pool, .a = a, .blocks = blocks, .count = n, .bounds = bounds, .out = out, .lse = lse});
  free(blocks);
  free(costs);
  free(bounds);
}

int64_t policy_attend_parts(const policy_pool *pool, policy_heads shape) {
  int threads = policy_pool_threads(pool);
  return shape.groups % threads == 0 ? 1 : threads;
}

int64_t policy_attend_padded(const policy_pool *pool, policy_heads shape) {
  int64_t lanes = policy_pool_variant(pool)->tile_columns;
  return (shape.width + lanes - 1) / lanes * lanes;
}

// Work is (part, key/value head); each adds into dk and dv of its own.
static void backward_task(void *context, int thread) {
  const job *j = context;
  float *scratch = scratch_of(j, thread);
  const policy_variant *v = policy_pool_variant(j->pool);
  int64_t padded = policy_attend_padded(j->pool, j->a->shape), groups = j->a->shape.groups;
  int64_t rows = j->a->rows, items = j->parts * groups;
  int threads = policy_pool_threads(j->pool);
  for (int64_t item = items * thread / threads; item < items * (thread + 1) / threads; item++) {
    int64_t group = item / j->parts, part = item % j->parts;
    float *dk = j->dk + (part * groups + group) * rows * padded, *dv = j->dv + (part * groups + group) * rows * padded;
    memset(dk, 0, (size_t)(rows * padded) * sizeof *dk);
    memset(dv, 0, (size_t)(rows * padded) * sizeof *dv);
    for (int64_t i = j->bounds[part]; i < j->bounds[part + 1]; i++) {
      policy_block block = j->blocks[i];
      block.group = (int32_t)group;
      v->attend_backward(j->a, block, j->given_out, j->given_lse, j->dout, j->dq, dk, dv, padded, scratch);
    }
  }
}

void policy_attend_backward(policy_pool *pool, const policy_attention *a, const float *out, const float *lse,
                            const float *dout, float *dq, float *dk, float *dv) {
  int lanes = policy_pool_variant(pool)->tile_columns;
  int64_t n = list_blocks(a, 0, lanes, NULL, NULL), parts = policy_attend_parts(pool, a->shape);
  policy_block *blocks = malloc((size_t)(n + 1) * sizeof *blocks);
  int64_t *costs = malloc((size_t)(n + 1) * sizeof *costs), *bounds = malloc((size_t)(parts + 1) * sizeof *bounds);
  if (!blocks || !costs || !bounds) abort();
  list_blocks(a, 0, lanes, blocks, costs);
  cut(costs, n, parts, bounds);
  policy_run(pool, backward_task,
             &(job){.pool = pool, .a = a, .blocks = blocks, .count = n, .bounds = bounds, .parts = parts,
                    .given_out = out, .given_lse = lse, .dout = dout, .dq = dq, .dk = dk, .dv = dv});
  free(blocks);
  free(costs);
  free(bounds);
}

// Projections to heads and back.
typedef struct {
  policy_pool *pool;
  policy_heads shape;
  int64_t rows, capacity, first, parts, padded;
  const float *qkv, *cosines, *sines, *q_norm, *k_norm, *dq_in, *dk_in, *dv_in;
  const int32_t *positions;
  float eps;
  float *q, *k, *v, *dqkv, *dq_norm, *dk_norm;
} rope_job;

static void rope_task(void *context, int thread) {
  const rope_job *j = context;
  const policy_variant *v = policy_pool_variant(j->pool);
  int heads = j->shape.heads, groups = j->shape.groups, width = j->shape.width;
  int64_t row = (int64_t)(heads + 2 * groups) * width, b, e;
  policy_share(j->rows, 1, thread, policy_pool_threads(j->pool), &b, &e);
  float *normed = policy_scratch(j->pool, thread, width + 1);
  for (int64_t i = b; i < e; i++) {
    const float *c = j->cosines + j->positions[i] * (width / 2), *s = j->sines + j->positions[i] * (width / 2);
    for (int h = 0; h < heads + groups; h++) {
      const float *x = j->qkv + i * row + h * width, *norm = h < heads ? j->q_norm : j->k_norm;
      float *y = h < heads ? j->q + i * heads * width + h * width
                           : j->k + ((h - heads) * j->capacity + j->first + i) * width;
      if (norm) {
        v->rms_norm(x, norm, j->eps, 1, width, normed, normed + width);
        x = normed;
      }
      v->rope_row(x, c, s, width, y);
    }
    for (int h = 0; h < groups; h++) {
      memcpy(j->v + (h * j->capacity + j->first + i) * width, j->qkv + i * row + (heads + groups + h) * width,
             (size_t)width * sizeof(float));
    }
  }
}

void policy_rope(policy_pool *pool, policy_heads shape, int64_t rows, const float *qkv, const float *cosines,
                 const float *sines, const int32_t *positions, const float *q_norm, const float *k_norm, float eps,
                 float *q, float *k, float *v, int64_t capacity, int64_t first) {
  policy_run(pool, rope_task,
             &(rope_job){.pool = pool, .shape = shape, .rows = rows, .qkv = qkv, .cosines = cosines, .sines = sines,
                         .positions = positions, .q_norm = q_norm, .k_norm = k_norm, .eps = eps, .q = q, .k = k,
                         .v = v, .capacity = capacity, .first = first});
}

static void rope_backward_task(void *context, int thread) {
  const rope_job *j = context;
  const policy_variant *v = policy_pool_variant(j->pool);
  int heads = j->shape.heads, groups = j->shape.groups, width = j->shape.width;
  int64_t row = (int64_t)(heads + 2 * groups) * width, b, e;
  policy_share(j->rows, 1, thread, policy_pool_threads(j->pool), &b, &e);
  float *sum = policy_scratch(j->pool, thread, 4 * width + 1);
  float *turned = sum + width, *normed = turned + width, *rms = normed + width;
  float *dq_norm = j->dq_norm ? j->dq_norm + thread * 2 * width : NULL, *dk_norm = dq_norm ? dq_norm + width : NULL;
  if (dq_norm) memset(dq_norm, 0, 2 * (size_t)width * sizeof(float));
  for (int64_t i = b; i < e; i++) {
    const float *c = j->cosines + j->positions[i] * (width / 2), *s = j->sines + j->positions[i] * (width / 2);
    for (int h = 0; h < heads + 2 * groups; h++) {
      float *dx = j->dqkv + i * row + h * width;
      const float *dy;
      if (h < heads) {
        dy = j->dq_in + (i * heads + h) * width;
      } else {
        int group = (h - heads) % groups;
        const float *source = h < heads + groups ? j->dk_in : j->dv_in;
        dy = source + (group * j->rows + i) * j->padded;
        if (j->parts > 1) {
          memcpy(sum, dy, (size_t)width * sizeof(float));
          for (int64_t p = 1; p < j->parts; p++) {
            v->axpy(1, source + ((p * groups + group) * j->rows + i) * j->padded, width, sum);
          }
          dy = sum;
        }
      }
      if (h >= heads + groups) {
        memcpy(dx, dy, (size_t)width * sizeof(float));
        continue;
      }
      const float *norm = h < heads ? j->q_norm : j->k_norm;
      if (!norm) {
        v->rope_row_backward(dy, c, s, width, dx);
        continue;
      }
      const float *x = j->qkv + i * row + h * width;
      v->rope_row_backward(dy, c, s, width, turned);
      v->rms_norm(x, norm, j->eps, 1, width, normed, rms);
      v->rms_norm_backward(x, norm, rms, turned, 1, width, NULL, dx, h < heads ? dq_norm : dk_norm);
    }
  }
}

void policy_rope_backward(policy_pool *pool, policy_heads shape, int64_t rows, const float *qkv, const float *cosines,
                          const float *sines, const int32_t *positions, const float *q_norm, const float *k_norm,
                          float eps, const float *dq, const float *dk, const float *dv, int64_t parts, int64_t padded,
                          float *dqkv, float *dq_norm, float *dk_norm) {
  int threads = policy_pool_threads(pool), width = shape.width;
  float *sums = dq_norm && dk_norm ? policy_scratch(pool, -1, (int64_t)threads * 2 * width) : NULL;
  policy_run(pool, rope_backward_task,
             &(rope_job){.pool = pool, .shape = shape, .rows = rows, .qkv = qkv, .cosines = cosines, .sines = sines,
                         .positions = positions, .q_norm = q_norm, .k_norm = k_norm, .eps = eps, .dq_in = dq,
                         .dk_in = dk, .dv_in = dv, .parts = parts, .padded = padded, .dqkv = dqkv, .dq_norm = sums});
  for (int t = 0; sums && t < threads; t++) {
    policy_pool_variant(pool)->axpy(1, sums + t * 2 * width, width, dq_norm);
    policy_pool_variant(pool)->axpy(1, sums + t * 2 * width + width, width, dk_norm);
  }
}
