#ifndef ARPO_POLICY_KERNELS_H
#define ARPO_POLICY_KERNELS_H
#include <stdint.h>

// Kernels of the policy engine: single precision, row-major. Which instruction set runs is chosen when a pool of
// threads is made. Every result depends on the shapes and on the number of threads alone: work is cut at fixed places
// and sums are taken in a fixed order. NaN and infinities pass through; nothing is replaced. Each function here has a
// plain counterpart in policy_reference.h.

// How a stored number is encoded.
enum { POLICY_F32 = 0, POLICY_BF16 = 1, POLICY_F16 = 2 };

// Instruction sets.
enum { POLICY_PORTABLE = 0, POLICY_AVX2 = 1, POLICY_AVX512 = 2 };

// 1 if this processor runs the instruction set and the library was built for it.
int32_t policy_isa_supported(int32_t isa);
// The fastest supported one.
int32_t policy_isa_best(void);

// A fixed number of threads; the caller is one of them. Calls on one pool must not overlap.
typedef struct policy_pool policy_pool;
// NULL if the threads cannot be started. The instruction set must be supported.
policy_pool *policy_pool_create(int32_t threads, int32_t isa);
void policy_pool_free(policy_pool *pool);
int32_t policy_pool_threads(const policy_pool *pool);
int32_t policy_pool_isa(const policy_pool *pool);

// Memory for `count` floats, aligned to a cache line, on large pages where the system has them; NULL if there is none.
float *policy_alloc(int64_t count);
void policy_free(float *p);

// A matrix in memory: element (i, j) is element i * rows + j * columns from `data`, which needs no alignment. One of
// the two strides is 1 in everything fast.
typedef struct {
  const void *data;
  int32_t type;
  int64_t rows, columns;
} policy_matrix;

// One block of columns of a product.
typedef struct {
  // [k, n]
  policy_matrix b;
  int64_t n;
  // [m, n], rows ldc apart.
  float *c;
  int64_t ldc;
  // What c starts from: NULL for zero, a matrix with rows ld_start apart (c itself accumulates), or one row for all
  // with ld_start 0, i.e. a bias.
  const float *start;
  int64_t ld_start;
} policy_product;

// c = start + alpha * a b for every part; a is [m, k] and is read once for all parts.
void policy_gemm(policy_pool *pool, int64_t m, int64_t k, float alpha, policy_matrix a, const policy_product *parts,
                 int64_t count);

// out[i] = row ids[i] of table [*, n], widened.
void policy_gather(policy_pool *pool, const void *table, int32_t type, int64_t n, const int32_t *ids, int64_t count,
                   float *out);
// Row ids[i] of table += row i of x.
void policy_scatter_add(policy_pool *pool, const float *x, const int32_t *ids, int64_t count, int64_t n, float *table);

// y = x * r * w with r = 1 / sqrt(mean x^2 + eps) per row of n; r goes to `rms`.
void policy_rms_norm(policy_pool *pool, const float *x, const float *w, float eps, int64_t rows, int64_t n, float *y,
                     float *rms);
// dx = start + d y / d x * dy (start may be NULL or dx); dw += d y / d w * dy where dw is not NULL.
void policy_rms_norm_backward(policy_pool *pool, const float *x, const float *w, const float *rms, const float *dy,
                              int64_t rows, int64_t n, const float *start, float *dx, float *dw);

// Shapes of the attention heads.
typedef struct {
  int32_t heads, groups, width;  // query heads, key/value heads, head dimension
} policy_heads;

// Splits the projections qkv [rows, (heads + 2 groups) * width] into queries [rows, heads * width] and keys and values
// [groups, capacity, width] from row `first` on, with RMS norms over each head of q and k if q_norm is not NULL, then
// rotation of the halves: cosines and sines are [*, width / 2], the row of token i is positions[i].
void policy_rope(policy_pool *pool, policy_heads shape, int64_t rows, const float *qkv, const float *cosines,
                 const float *sines, const int32_t *positions, const float *q_norm, const float *k_norm, float eps,
                 float *q, float *k, float *v, int64_t capacity, int64_t first);
// The way back: from dq [rows, heads * width] and dk, dv [parts, groups, rows, padded] (parts are summed, padded is
// the row stride) to dqkv; q_norm's gradient is added to dq_norm, k_norm's to dk_norm, where not NULL. qkv is read only
// where there are norms.
void policy_rope_backward(policy_pool *pool, policy_heads shape, int64_t rows, const float *qkv, const float *cosines,
                          const float *sines, const int32_t *positions, const float *q_norm, const float *k_norm,
                          float eps, const float *dq, const float *dk, const float *dv, int64_t parts, int64_t padded,
                          float *dqkv, float *dq_norm, float *dk_norm);

// A run of queries that see the same earlier keys, and of their own run those up to themselves.
typedef struct {
  int32_t query, count;    // first query row, how many
  int32_t own;             // key row of the first query itself
  int32_t range, ranges;   // the earlier keys: where in the list of ranges, how many
} policy_segment;
typedef struct {
  int32_t begin, end;      // key rows
} policy_range;

typedef struct {
  policy_heads shape;
  const policy_segment *segments;
  int64_t segment_count;
  const policy_range *ranges;
  int64_t rows, capacity;  // query rows, key rows that k and v have room for
  const float *q, *k, *v;  // as policy_rope leaves them
} policy_attention;

// out [rows, heads * width] = softmax(q k^T / sqrt(width)) v over the keys that a query sees; log-sum-exps [heads, rows].
void policy_attend(policy_pool *pool, const policy_attention *a, float *out, float *lse);
// How many parts the next function writes dk and dv in, and the stride of their rows.
int64_t policy_attend_parts(const policy_pool *pool, policy_heads shape);
int64_t policy_attend_padded(const policy_pool *pool, policy_heads shape);
// dq [rows, heads * width]; dk, dv [parts, groups, rows, padded] are overwritten. capacity equals rows.
void policy_attend_backward(policy_pool *pool, const policy_attention *a, const float *out, const float *lse,
                            const float *dout, float *dq, float *dk, float *dv);

// gate_up is [rows, 2 n], gate then up: out [rows, n] = silu(gate) * up.
void policy_swiglu(policy_pool *pool, const float *gate_up, int64_t rows, int64_t n, float *out);
// gate_up becomes its gradient; out (may be NULL) gets silu(gate) * up again.
void policy_swiglu_backward(policy_pool *pool, float *gate_up, const float *dout, int64_t rows, int64_t n, float *out);

// out[j] += sum over rows of x[i, j]; rows ld apart.
void policy_column_sums(policy_pool *pool, const float *x, int64_t rows, int64_t n, int64_t ld, float *out);
// x[i, :] += bias
void policy_add_row(policy_pool *pool, float *x, int64_t rows, int64_t n, int64_t ld, const float *bias);
// y [columns, rows] += transpose of x [rows, columns]
void policy_add_transposed(policy_pool *pool, const float *x, int64_t rows, int64_t columns, float *y);

// Running sums of softmax rows whose logits come in blocks of the vocabulary: the largest z so far, sum e^(z - max),
// sum (z - max) e^(z - max), all with z = logit * inverse temperature. Begin with -inf, 0, 0.
typedef struct {
  float max;
  double sum, weighted;
} policy_softmax_sums;
// Takes a block [rows, n] into the sums. If `rescale` is not NULL, z becomes e^(z - max) and rescale[i] is the factor
// by which everything that was added up relative to the old maximum has to be multiplied.
void policy_head_scan(policy_pool *pool, float *z, int64_t rows, int64_t n, float inverse_temperature,
                      policy_softmax_sums *sums, float *rescale);
// x[i, :] *= factors[i]
void policy_scale_rows(policy_pool *pool, float *x, int64_t rows, int64_t n, const float *factors);
// Keeps the `top` largest of each row in ids and values [rows, top], largest first, ties by id; `seen` columns came
// before this block and value are raw logits. Unused places hold id -1.
void policy_head_top(policy_pool *pool, const float *z, int64_t rows, int64_t n, int64_t seen, int64_t top,
                     int32_t *ids, float *values);
// Logits become d loss / d logits without the part that targets have on their own column: with p = e^(z - lse),
// -p * (dlogprob + dentropy * (z - lse + entropy)) * inverse temperature, z = logit * inverse temperature.
void policy_head_gradient(policy_pool *pool, float *z, int64_t rows, int64_t n, float inverse_temperature,
                          const float *lse, const float *entropy, const float *dlogprob, const float *dentropy);
#endif
