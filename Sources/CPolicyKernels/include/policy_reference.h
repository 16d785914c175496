#ifndef ARPO_POLICY_REFERENCE_H
#define ARPO_POLICY_REFERENCE_H
#include "policy_kernels.h"

// The kernels' definitions, one loop a sum, in double precision: what the fast versions are held to in tests. Arguments
// are as in policy_kernels.h, without the pool.

void reference_gemm(int64_t m, int64_t k, float alpha, policy_matrix a, const policy_product *parts, int64_t count);
void reference_gather(const void *table, int32_t type, int64_t n, const int32_t *ids, int64_t count, float *out);
void reference_scatter_add(const float *x, const int32_t *ids, int64_t count, int64_t n, float *table);
void reference_rms_norm(const float *x, const float *w, float eps, int64_t rows, int64_t n, float *y, float *rms);
void reference_rms_norm_backward(const float *x, const float *w, const float *rms, const float *dy, int64_t rows,
                                 int64_t n, const float *start, float *dx, float *dw);
void reference_rope(policy_heads shape, int64_t rows, const float *qkv, const float *cosines, const float *sines,
                    const int32_t *positions, const float *q_norm, const float *k_norm, float eps, float *q, float *k,
                    float *v, int64_t capacity, int64_t first);
void reference_rope_backward(policy_heads shape, int64_t rows, const float *qkv, const float *cosines,
                             const float *sines, const int32_t *positions, const float *q_norm, const float *k_norm,
                             float eps, const float *dq, const float *dk, const float *dv, int64_t parts,
                             int64_t padded, float *dqkv, float *dq_norm, float *dk_norm);
void reference_attend(const policy_attention *a, float *out, float *lse);
// dk and dv in one part, rows `padded` apart.
void reference_attend_backward(const policy_attention *a, const float *out, const float *lse, const float *dout,
                               int64_t padded, float *dq, float *dk, float *dv);
void reference_swiglu(const float *gate_up, int64_t rows, int64_t n, float *out);
void reference_swiglu_backward(float *gate_up, const float *dout, int64_t rows, int64_t n, float *out);
void reference_column_sums(const float *x, int64_t rows, int64_t n, int64_t ld, float *out);
void reference_add_row(float *x, int64_t rows, int64_t n, int64_t ld, const float *bias);
void reference_add_transposed(const float *x, int64_t rows, int64_t columns, float *y);
void reference_scale_rows(float *x, int64_t rows, int64_t n, const float *factors);
void reference_head_scan(float *z, int64_t rows, int64_t n, float inverse_temperature, policy_softmax_sums *sums,
                         float *rescale);
void reference_head_top(const float *z, int64_t rows, int64_t n, int64_t seen, int64_t top, int32_t *ids,
                        float *values);
void reference_head_gradient(float *z, int64_t rows, int64_t n, float inverse_temperature, const float *lse,
                             const float *entropy, const float *dlogprob, const float *dentropy);
#endif
