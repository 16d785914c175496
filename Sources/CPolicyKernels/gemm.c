#include "pool.h"
#include <stdlib.h>
#include <string.h>

// A product in blocks after Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008): panels
// of b stay in the first-level cache while panels of a come from the second, and both are packed in the order in which
// the microtile reads them. Threads share out either the columns of the result, each packing its own panels of b, or
// the rows, packing b together. Every element of the result is summed by one thread, over k in order.

enum {
  // Depth of a block: a panel of b is this times two vectors.
  K_BLOCK = 256,
  // Panels of b that are packed before they are used, and strips of a between which these go round.
  PANEL_BLOCK = 16,
  STRIP_BLOCK = 24,
  STRIPS_AT_ONCE = 8,
  LONGEST_VECTOR = 16,
  // Floats between rows of a up to which they are read where they stand. Rows further apart meet in the same lines of
  // the cache, or lie in too many pages.
  DIRECT_STRIDE = 768,
  // Rows of a up to which nothing is packed, and the columns that all of them go over before the next ones are read.
  NARROW_LIMIT = 16,
  NARROW_COLUMNS = 8
};

typedef struct {
  policy_pool *pool;
  const policy_variant *v;
  int64_t m, k;
  float alpha;
  policy_matrix a;
  const policy_product *parts;
  int64_t count, strips, panels;
  int64_t depth, depths, strip_size, panel_size;
  int by_rows, direct;
  float *a_packed, *b_packed;
} job;

// Where a panel lies: its part and first column.
typedef struct {
  int64_t part, column;
} place;

static int64_t panels_of(const job *j, int64_t part) {
  return (j->parts[part].n + j->v->tile_columns - 1) / j->v->tile_columns;
}

static place place_of(const job *j, int64_t panel) {
  int64_t part = 0;
  while (panel >= panels_of(j, part)) panel -= panels_of(j, part++);
  return (place){part, panel * j->v->tile_columns};
}

static int columns_of(const job *j, place p) {
  int64_t n = j->parts[p.part].n - p.column;
  return n < j->v->tile_columns ? (int)n : j->v->tile_columns;
}

static int vectors_of(const job *j, place p) { return (columns_of(j, p) + j->v->lanes - 1) / j->v->lanes; }

static const void *at(policy_matrix x, int64_t i, int64_t k) {
  return (const char *)x.data + (i * x.rows + k * x.columns) * (x.type == POLICY_F32 ? 4 : 2);
}

// Lines first ..< first + count of x, of which element s is at line * x.rows + s * x.columns, to blocks of `width` lines,
// each [k, width].
static void pack(const policy_variant *v, policy_matrix x, int64_t first, int64_t count, int64_t k0, int64_t k,
                 float scale, float *out, int width, int64_t block) {
  if (x.rows == 1 && x.columns != 1) {
    v->pack_columns(at(x, first, k0), x.type, x.columns, count, k, scale, out, width, block);
    return;
  }
  for (int64_t line = 0; line < count; line += width, out += block) {
    int lines = count - line < width ? (int)(count - line) : width;
    if (x.columns == 1) {
      const void *rows[64];
      for (int i = 0; i < lines; i++) rows[i] = at(x, first + line + i, k0);
      v->pack_rows(rows, x.type, lines, k, scale, out, width);
      continue;
    }
    // Neither stride is 1: element by element.
    for (int64_t s = 0; s < k; s++) {
      for (int i = 0; i < width; i++) {
        out[s * width + i] = 0;
        const void *source = at(x, first + line + i, k0 + s);
        if (i < lines) v->pack_rows(&source, x.type, 1, 1, scale, &out[s * width + i], 1);
      }
    }
  }
}

// Strips are packed a few at a time, so that what is read of a row is contiguous.
static void pack_strips(const job *j, int64_t begin, int64_t end, int64_t k0, int64_t k) {
  for (int64_t strip = begin; strip < end; strip += STRIPS_AT_ONCE) {
    int64_t last = strip + STRIPS_AT_ONCE < end ? strip + STRIPS_AT_ONCE : end;
    int64_t first = strip * j->v->tile_rows, count = last * j->v->tile_rows - first;
    if (count > j->m - first) count = j->m - first;
    pack(j->v, j->a, first, count, k0, k, j->alpha, j->a_packed + strip * j->strip_size, j->v->tile_rows,
         j->strip_size);
  }
}

static void pack_panel(const job *j, place p, int64_t k0, int64_t k, float *out) {
  policy_matrix b = j->parts[p.part].b;
  policy_matrix across = {b.data, b.type, b.columns, b.rows};
  pack(j->v, across, p.column, columns_of(j, p), k0, k, 1, out, vectors_of(j, p) * j->v->lanes, j->panel_size);
}

// One strip of a times one panel of b.
static void multiply(const job *j, int64_t strip, place p, int64_t k0, int64_t k, const float *panel) {
  const policy_product *part = &j->parts[p.part];
  int64_t row = strip * j->v->tile_rows;
  int rows = j->m - row < j->v->tile_rows ? (int)(j->m - row) : j->v->tile_rows;
  int columns = columns_of(j, p), vectors = vectors_of(j, p), width = vectors * j->v->lanes;
  float *c = part->c + row * part->ldc + p.column;
  const float *start = k0 == 0 ? part->start : c;
  int64_t ld_start = k0 == 0 ? part->ld_start : part->ldc;
  if (k0 == 0 && start) start += row * ld_start + p.column;
  const float *a = j->direct ? at(j->a, row, k0) : j->a_packed + strip * j->strip_size;
  policy_tile tile = j->v->tile(j->direct ? POLICY_ROWS : POLICY_PACKED, rows, vectors);
  if (columns == width) {
    tile(k, a, j->a.rows, panel, width, c, part->ldc, start, ld_start);
    return;
  }
  float edge[16 * 64];
  tile(k, a, j->a.rows, panel, width, edge, width, NULL, 0);
  for (int r = 0; r < rows; r++) {
    for (int i = 0; i < columns; i++) {
      c[r * part->ldc + i] = (start ? start[r * ld_start + i] : 0) + edge[r * width + i];
    }
  }
}

static void work(void *context, int thread) {
  const job *j = context;
  int threads = policy_pool_threads(j->pool);
  int64_t strip0, strip1, panel0 = 0, panel1 = j->panels;
  policy_share(j->strips, 1, thread, threads, &strip0, &strip1);
  int64_t packed0, packed1;
  policy_share(j->panels, 1, thread, threads, &packed0, &packed1);
  float *own = NULL;
  if (!j->by_rows) {
    panel0 = packed0, panel1 = packed1;
    own = policy_scratch(j->pool, thread, PANEL_BLOCK * j->panel_size);
  }
  for (int64_t d = 0; d < j->depths; d++) {
    int64_t k0 = d * j->depth, k = j->k - k0 < j->depth ? j->k - k0 : j->depth;
    if (k < 0) k = 0;
    if (d > 0) policy_barrier(j->pool);
    if (!j->direct) pack_strips(j, strip0, strip1, k0, k);
    if (j->by_rows) {
      for (int64_t p = packed0; p < packed1; p++) pack_panel(j, place_of(j, p), k0, k, j->b_packed + p * j->panel_size);
    }
    policy_barrier(j->pool);
    int64_t s0 = j->by_rows ? strip0 : 0, s1 = j->by_rows ? strip1 : j->strips;
    for (int64_t block = panel0; block < panel1; block += PANEL_BLOCK) {
      int64_t block_end = block + PANEL_BLOCK < panel1 ? block + PANEL_BLOCK : panel1;
      for (int64_t sb = s0; sb < s1; sb += STRIP_BLOCK) {
        int64_t sb_end = sb + STRIP_BLOCK < s1 ? sb + STRIP_BLOCK : s1;
        for (int64_t p = block; p < block_end; p++) {
          place where = place_of(j, p);
          float *panel = j->by_rows ? j->b_packed + p * j->panel_size : own + (p - block) * j->panel_size;
          if (!j->by_rows && sb == s0) pack_panel(j, where, k0, k, panel);
          for (int64_t s = sb; s < sb_end; s++) multiply(j, s, where, k0, k, panel);
        }
      }
    }
  }
}

// A few rows against matrices whose rows of k stand as they are read: nothing is packed.
static int is_narrow(int64_t m, policy_matrix a, const policy_product *parts, int64_t count) {
  if (m > NARROW_LIMIT || a.type != POLICY_F32 || a.columns != 1) return 0;
  for (int64_t i = 0; i < count; i++) {
    if (parts[i].b.rows != 1) return 0;
  }
  return 1;
}

static void narrow_work(void *context, int thread) {
  const job *j = context;
  for (int64_t i = 0; i < j->count; i++) {
    const policy_product *p = &j->parts[i];
    int64_t b, e;
    policy_share(p->n, LONGEST_VECTOR, thread, policy_pool_threads(j->pool), &b, &e);
    for (int64_t first = b; first < e; first += NARROW_COLUMNS) {
      int64_t last = first + NARROW_COLUMNS < e ? first + NARROW_COLUMNS : e;
      for (int64_t row = 0; row < j->m; row += POLICY_NARROW_ROWS) {
        int64_t rows = j->m - row < POLICY_NARROW_ROWS ? j->m - row : POLICY_NARROW_ROWS;
        j->v->narrow(rows, j->k, j->alpha, (const float *)j->a.data + row * j->a.rows, j->a.rows, p->b.data, p->b.type,
                     p->b.columns, first, last, p->c + row * p->ldc, p->ldc,
                     p->start ? p->start + row * p->ld_start : NULL, p->ld_start);
      }
    }
  }
}

void policy_gemm(policy_pool *pool, int64_t m, int64_t k, float alpha, policy_matrix a, const policy_product *parts,
                 int64_t count) {
  const policy_variant *v = policy_pool_variant(pool);
  job j = {.pool = pool, .v = v, .m = m, .k = k, .alpha = alpha, .a = a, .parts = parts, .count = count};
  if (m <= 0) return;
  if (is_narrow(m, a, parts, count)) {
    policy_run(pool, narrow_work, &j);
    return;
  }
  j.strips = (m + v->tile_rows - 1) / v->tile_rows;
  for (int64_t i = 0; i < count; i++) j.panels += panels_of(&j, i);
  if (j.panels == 0) return;
  j.depths = k > 0 ? (k + K_BLOCK - 1) / K_BLOCK : 1;
  j.depth = ((k + j.depths - 1) / j.depths + LONGEST_VECTOR - 1) / LONGEST_VECTOR * LONGEST_VECTOR;
  j.depths = k > 0 ? (k + j.depth - 1) / j.depth : 1;
  j.strip_size = j.depth * v->tile_rows + LONGEST_VECTOR;
  j.panel_size = j.depth * v->tile_columns;
  j.direct = a.type == POLICY_F32 && a.columns == 1 && alpha == 1 && a.rows <= DIRECT_STRIDE &&
             (uintptr_t)a.data % sizeof(float) == 0;
  int64_t threads = policy_pool_threads(pool);
  // The dimension that is shared out more evenly; b by rows only while all of a block of it is small.
  int64_t per_panel = (j.panels + threads - 1) / threads * threads, per_strip = (j.strips + threads - 1) / threads * threads;
  j.by_rows = per_panel * j.strips > per_strip * j.panels + per_strip * j.panels / 16 && j.panels <= 4 * PANEL_BLOCK;
  int64_t a_size = (j.strips * j.strip_size + LONGEST_VECTOR) / LONGEST_VECTOR * LONGEST_VECTOR;
  j.a_packed = policy_scratch(pool, -1, a_size + (j.by_rows ? j.panels * j.panel_size : 0));
  j.b_packed = j.a_packed + a_size;
  policy_run(pool, work, &j);
}
