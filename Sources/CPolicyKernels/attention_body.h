// Attention of one block of queries: up to TILE_COLUMNS pairs of a query and a head of the group, one a lane, against
// the keys of the earlier ranges and of the block's own segment, KEYS of them at a time. Scores stand as [key, lane], so
// that the softmax runs down the lanes. The softmax is taken online (Milakov and Gimelshein 2018), and the backward pass
// computes the probabilities again from the log-sum-exp (Dao et al., FlashAttention, 2022).
#define LANE_COUNT TILE_COLUMNS
#define KEYS (8 * TILE_ROWS)

INLINE int64_t padded_width(int width) { return (width + LANE_COUNT - 1) / LANE_COUNT * LANE_COUNT; }

static int64_t attend_scratch(policy_heads shape) {
  return 6 * padded_width(shape.width) * LANE_COUNT + 2 * KEYS * LANE_COUNT + 8 * LANE_COUNT;
}

typedef struct {
  const policy_attention *a;
  policy_block block;
  const policy_segment *segment;
  const float *k, *v;  // of the group
  int per_group, width, lanes, vectors;
  int64_t row;                    // stride of q, out and their gradients
  int32_t query[TILE_COLUMNS];    // of each lane, within the segment
  int64_t offset[TILE_COLUMNS];   // of each lane in q and out
  int64_t scalar[TILE_COLUMNS];   // of each lane in lse
} block_view;

INLINE block_view view_of(const policy_attention *a, policy_block block) {
  block_view b = {.a = a, .block = block, .segment = &a->segments[block.segment]};
  b.per_group = a->shape.heads / a->shape.groups;
  b.width = a->shape.width;
  b.lanes = block.count;
  b.vectors = (block.count + LANES - 1) / LANES;
  b.row = (int64_t)a->shape.heads * b.width;
  b.k = a->k + block.group * a->capacity * b.width;
  b.v = a->v + block.group * a->capacity * b.width;
  for (int i = 0; i < b.lanes; i++) {
    int pair = block.first + i, head = block.group * b.per_group + pair % b.per_group;
    b.query[i] = pair / b.per_group;
    b.offset[i] = (b.segment->query + b.query[i]) * b.row + (int64_t)head * b.width;
    b.scalar[i] = head * a->rows + b.segment->query + b.query[i];
  }
  return b;
}

// x of every lane as [width, lanes].
INLINE void lanes_of(const block_view *b, const float *x, float scale, float *out) {
  const void *rows[TILE_COLUMNS];
  for (int i = 0; i < b->lanes; i++) rows[i] = x + b->offset[i];
  pack_rows(rows, POLICY_F32, b->lanes, b->width, scale, out, LANE_COUNT);
}

// x of every lane as [lane, padded].
INLINE void lane_rows_of(const block_view *b, const float *x, float scale, int64_t padded, float *out) {
  for (int i = 0; i < b->lanes; i++) {
    const float *row = x + b->offset[i];
    float *o = out + i * padded;
    int j = 0;
    for (; j + LANES <= b->width; j += LANES) store(o + j, load(row + j) * scale);
    for (; j < b->width; j++) o[j] = row[j] * scale;
    for (; j < padded; j++) o[j] = 0;
  }
}

// The other way: lane i of x [width, lanes], times factors[i], to its row.
INLINE void lanes_to_rows(const block_view *b, float *x, const float *factors, float *out) {
  for (int l = 0; l < LANE_COUNT; l += LANES) {
    vf f = load(factors + l);
    for (int d = 0; d < b->width; d++) store(x + d * LANE_COUNT + l, load(x + d * LANE_COUNT + l) * f);
  }
  int d = 0;
  for (; d + LANES <= b->width; d += LANES) {
    for (int l = 0; l < b->lanes; l += LANES) {
      vf r[LANES];
#pragma clang loop unroll(full)
      for (int i = 0; i < LANES; i++) r[i] = load(x + (d + i) * LANE_COUNT + l);
      transpose(r);
      for (int i = 0; i < LANES && l + i < b->lanes; i++) store(out + b->offset[l + i] + d, r[i]);
    }
  }
  for (; d < b->width; d++) {
    for (int i = 0; i < b->lanes; i++) out[b->offset[i] + d] = x[d * LANE_COUNT + i];
  }
}

// out [count, lanes] = keys [count, width] times x [width, lanes]
INLINE void scores_of(const block_view *b, const float *keys, int count, const float *x, float *out) {
  int strips = (count + TILE_ROWS - 1) / TILE_ROWS;
  for (int s = 0; s < strips; s++) {
    int first = count * s / strips, rows = count * (s + 1) / strips - first;
    tile(POLICY_ROWS, rows, b->vectors)(b->width, keys + (int64_t)first * b->width, b->width, x, LANE_COUNT,
                                        out + first * LANE_COUNT, LANE_COUNT, NULL, 0);
  }
}

// out [width, lanes] += transpose of keys [count, width] times x [count, lanes]
INLINE void add_weighted(const block_view *b, const float *keys, int count, const float *x, float *out) {
  int strips = (b->width + TILE_ROWS - 1) / TILE_ROWS;
  for (int s = 0; s < strips; s++) {
    int first = b->width * s / strips, rows = b->width * (s + 1) / strips - first;
    float *o = out + first * LANE_COUNT;
    tile(POLICY_COLUMNS, rows, b->vectors)(count, keys + first, b->width, x, LANE_COUNT, o, LANE_COUNT, o, LANE_COUNT);
  }
}

// out [count, padded] += x [count, lanes] times rows [lanes, padded]
INLINE void add_outer(const block_view *b, const float *x, int count, const float *rows, int64_t padded, float *out) {
  int strips = (count + TILE_ROWS - 1) / TILE_ROWS;
  for (int64_t column = 0; column < padded; column += LANE_COUNT) {
    for (int s = 0; s < strips; s++) {
      int first = count * s / strips, n = count * (s + 1) / strips - first;
      float *o = out + first * padded + column;
      tile(POLICY_ROWS, n, TILE_VECTORS)(b->lanes, x + first * LANE_COUNT, LANE_COUNT, rows + column, padded, o, padded, o,
                                         padded);
    }
  }
}

// Keys that the lanes of a block see, in the order of the ranges, the own segment last.
typedef struct {
  int range, chunk, chunks;
  policy_range within;
  int32_t key;  // row of the first key
  int count;    // how many
  int own;      // index of the first within the segment, -1 in earlier ranges
} key_run;

INLINE key_run before_keys(void) { return (key_run){.range = -1}; }

INLINE int next_keys(const block_view *b, key_run *r) {
  while (++r->chunk >= r->chunks) {
    if (++r->range > b->segment->ranges) return 0;
    int32_t own = b->segment->own;
    r->within = r->range == b->segment->ranges ? (policy_range){own, own + b->query[b->lanes - 1] + 1}
                                               : b->a->ranges[b->segment->range + r->range];
    r->chunk = -1;
    r->chunks = (r->within.end - r->within.begin + KEYS - 1) / KEYS;
  }
  int64_t length = r->within.end - r->within.begin;
  r->key = r->within.begin + (int32_t)(length * r->chunk / r->chunks);
  r->count = r->within.begin + (int32_t)(length * (r->chunk + 1) / r->chunks) - r->key;
  r->own = r->range == b->segment->ranges ? r->key - r->within.begin : -1;
  return 1;
}

// Whether a lane does not see key j of a run that reaches beyond the first query.
INLINE int hides(const block_view *b, const key_run *r, int j) { return r->own >= 0 && r->own + j > b->query[0]; }

static void attend(const policy_attention *a, policy_block block, float *out, float *lse, float *scratch) {
  block_view b = view_of(a, block);
  int64_t panel = padded_width(b.width) * LANE_COUNT;
  float *q = scratch, *o = q + panel + LANE_COUNT, *s = o + panel;
  float top[LANE_COUNT], sum[LANE_COUNT], limit[LANE_COUNT];
  lanes_of(&b, a->q, 1 / sqrtf((float)b.width), q);
  for (int i = 0; i < LANE_COUNT; i++) {
    top[i] = -INFINITY;
    sum[i] = 0;
    limit[i] = i < b.lanes ? (float)b.query[i] : (float)b.query[b.lanes - 1];
  }
  memset(o, 0, sizeof(float) * (size_t)panel);
  for (key_run r = before_keys(); next_keys(&b, &r);) {
    scores_of(&b, b.k + (int64_t)r.key * b.width, r.count, q, s);
    for (int l = 0; l < b.vectors * LANES; l += LANES) {
      vf t = load(top + l), seen = load(limit + l);
      for (int j = 0; j < r.count; j++) {
        vf x = load(s + j * LANE_COUNT + l);
        if (hides(&b, &r, j)) {
          x = pick(seen < (float)(r.own + j), splat(-INFINITY), x);
          store(s + j * LANE_COUNT + l, x);
        }
        t = max_of(t, x);
      }
      vf factor = exp_of(load(top + l) - t);
      vf total = load(sum + l) * factor;
      for (int j = 0; j < r.count; j++) {
        vf p = exp_of(load(s + j * LANE_COUNT + l) - t);
        total += p;
        store(s + j * LANE_COUNT + l, p);
      }
      store(sum + l, total);
      store(top + l, t);
      int same = 1;
      for (int i = 0; i < LANES; i++) same &= factor[i] == 1;
      for (int d = 0; !same && d < b.width; d++) {
        store(o + d * LANE_COUNT + l, load(o + d * LANE_COUNT + l) * factor);
      }
    }
    add_weighted(&b, b.v + (int64_t)r.key * b.width, r.count, s, o);
  }
  for (int i = 0; i < b.lanes; i++) {
    lse[b.scalar[i]] = top[i] + logf(sum[i]);
    sum[i] = 1 / sum[i];
  }
  lanes_to_rows(&b, o, sum, out);
}

// With p = e^(s - lse) and D = sum of dout * out: dv += p dout, ds = p (dout v - D), dq += ds k, dk += ds q.
static void attend_backward(const policy_attention *a, policy_block block, const float *out, const float *lse,
                            const float *dout, float *dq, float *dk, float *dv, int64_t padded, float *scratch) {
  block_view b = view_of(a, block);
  int64_t panel = padded * LANE_COUNT;
  float *q = scratch, *g = q + panel + LANE_COUNT, *q_rows = g + panel + LANE_COUNT, *g_rows = q_rows + panel;
  float *sums = g_rows + panel, *s = sums + panel, *ds = s + KEYS * LANE_COUNT;
  float scale = 1 / sqrtf((float)b.width);
  float base[LANE_COUNT], delta[LANE_COUNT], limit[LANE_COUNT], scales[LANE_COUNT];
  lanes_of(&b, a->q, scale, q);
  lanes_of(&b, dout, 1, g);
  lane_rows_of(&b, a->q, scale, padded, q_rows);
  lane_rows_of(&b, dout, 1, padded, g_rows);
  for (int i = 0; i < LANE_COUNT; i++) {
    int present = i < b.lanes;
    base[i] = present ? lse[b.scalar[i]] : INFINITY;
    delta[i] = present ? dot_of(out + b.offset[i], dout + b.offset[i], b.width) : 0;
    limit[i] = present ? (float)b.query[i] : (float)b.query[b.lanes - 1];
    scales[i] = scale;
  }
  memset(sums, 0, sizeof(float) * (size_t)panel);
  for (key_run r = before_keys(); next_keys(&b, &r);) {
    scores_of(&b, b.k + (int64_t)r.key * b.width, r.count, q, s);
    scores_of(&b, b.v + (int64_t)r.key * b.width, r.count, g, ds);
    for (int l = 0; l < b.vectors * LANES; l += LANES) {
      vf seen = load(limit + l), shift = load(base + l), d = load(delta + l);
      for (int j = 0; j < r.count; j++) {
        vf p = exp_of(load(s + j * LANE_COUNT + l) - shift);
        if (hides(&b, &r, j)) p = pick(seen < (float)(r.own + j), splat(0), p);
        store(s + j * LANE_COUNT + l, p);
        store(ds + j * LANE_COUNT + l, p * (load(ds + j * LANE_COUNT + l) - d));
      }
    }
    add_outer(&b, s, r.count, g_rows, padded, dv + r.key * padded);
    add_outer(&b, ds, r.count, q_rows, padded, dk + r.key * padded);
    add_weighted(&b, b.k + (int64_t)r.key * b.width, r.count, ds, sums);
  }
  lanes_to_rows(&b, sums, scales, dq);
}
