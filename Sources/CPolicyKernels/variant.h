#ifndef POLICY_VARIANT_H
#define POLICY_VARIANT_H
#include "include/policy_kernels.h"
#include <stdint.h>

// The rows of a query block that are computed in vector lanes.
typedef struct {
  int32_t group, segment;  // key/value head, index of the segment
  int32_t first, count;    // of the segment's (query, head of the group) pairs, queries outermost
} policy_block;

// Where one microtile of a product finds its left factor: element (i, k) at i * rows + k * columns.
enum { POLICY_PACKED, POLICY_ROWS, POLICY_COLUMNS };

// c [rows, vectors * lanes] = start + a b over k; rows of b are ldb apart, of c ldc, of start ld_start (start may be NULL
// or c). PACKED: a is [k, tile_rows]; ROWS: rows of a are `stride` apart; COLUMNS: columns are.
typedef void (*policy_tile)(int64_t k, const float *a, int64_t stride, const float *b, int64_t ldb, float *c,
                            int64_t ldc, const float *start, int64_t ld_start);

enum { POLICY_NARROW_ROWS = 4 };

// The kernels of one instruction set. All of them work on one thread, on the rows or blocks they are given.
typedef struct {
  int32_t isa;
  int lanes, tile_rows, tile_columns;

  // The microtile of a mode, for 1 ... tile_rows rows and one or two vectors.
  policy_tile (*tile)(int mode, int rows, int vectors);
  // out[k * width + i] = scale * element k of row i, for rows that are contiguous; missing rows are zero. Where width
  // is less than a vector, a vector's length behind out is overwritten.
  void (*pack_rows)(const void *const *rows, int type, int count, int64_t k, float scale, float *out, int width);
  // out[i / width][k * width + i % width] = scale * element i of row k, for rows ld elements apart of `count` elements,
  // zero up to a multiple of the width; blocks of `width` begin `block` floats apart in out. Where width is less than
  // a vector, a vector's length behind a block is overwritten.
  void (*pack_columns)(const void *x, int type, int64_t ld, int64_t count, int64_t k, float scale, float *out,
                       int width, int64_t block);

  // out[i * ldc + j] = start + alpha * (row i of x) . (row j of w), j from begin to end, for at most POLICY_NARROW_ROWS rows of
  // x; rows of w are k elements of the type.
  void (*narrow)(int64_t m, int64_t k, float alpha, const float *x, int64_t ldx, const void *w, int type, int64_t ldw,
                 int64_t begin, int64_t end, float *out, int64_t ldc, const float *start, int64_t ld_start);

  void (*gather)(const void *table, int type, int64_t n, const int32_t *ids, int64_t count, float *out);
  void (*scatter_add)(const float *x, const int32_t *ids, int64_t count, int64_t n, int64_t begin, int64_t end,
                      float *table);
  void (*rms_norm)(const float *x, const float *w, float eps, int64_t rows, int64_t n, float *y, float *rms);
  void (*rms_norm_backward)(const float *x, const float *w, const float *rms, const float *dy, int64_t rows, int64_t n,
                            const float *start, float *dx, float *dw);
  void (*swiglu)(const float *gate_up, int64_t rows, int64_t n, float *out);
  void (*swiglu_backward)(float *gate_up, const float *dout, int64_t rows, int64_t n, float *out);
  void (*column_sums)(const float *x, int64_t rows, int64_t ld, int64_t begin, int64_t end, float *out);
  void (*add_row)(float *x, int64_t rows, int64_t n, int64_t ld, const float *bias);
  void (*axpy)(float alpha, const float *x, int64_t count, float *y);

  void (*rope_row)(const float *x, const float *cosines, const float *sines, int width, float *out);
  void (*rope_row_backward)(const float *dy, const float *cosines, const float *sines, int width, float *dx);

  int64_t (*attend_scratch)(policy_heads shape);
  void (*attend)(const policy_attention *a, policy_block block, float *out, float *lse, float *scratch);
  void (*attend_backward)(const policy_attention *a, policy_block block, const float *out, const float *lse,
                          const float *dout, float *dq, float *dk, float *dv, int64_t padded, float *scratch);

  void (*head_scan)(float *z, int64_t rows, int64_t n, float inverse_temperature, policy_softmax_sums *sums,
                    float *rescale);
  void (*head_top)(const float *z, int64_t rows, int64_t n, int64_t seen, int64_t top, int32_t *ids, float *values);
  void (*head_gradient)(float *z, int64_t rows, int64_t n, float inverse_temperature, const float *lse,
                        const float *entropy, const float *dlogprob, const float *dentropy);
  void (*scale_rows)(float *x, int64_t rows, int64_t n, const float *factors);
} policy_variant;

extern const policy_variant policy_portable;
#if defined(__x86_64__)
extern const policy_variant policy_avx2, policy_avx512;
#endif

// NULL where this processor or this build does not have it.
const policy_variant *policy_variant_of(int32_t isa);
#endif
