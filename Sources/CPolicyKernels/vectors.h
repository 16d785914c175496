// Vectors of LANES floats and what the kernels do with them.
#ifndef POLICY_VECTORS_H
#define POLICY_VECTORS_H
#include <math.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((ext_vector_type(LANES)));
typedef int32_t vi __attribute__((ext_vector_type(LANES)));
typedef uint32_t vu __attribute__((ext_vector_type(LANES)));
typedef uint16_t vh __attribute__((ext_vector_type(LANES)));
// The same anywhere in memory.
typedef float vf_any __attribute__((ext_vector_type(LANES), aligned(1), may_alias));
typedef int32_t vi_any __attribute__((ext_vector_type(LANES), aligned(1), may_alias));
typedef uint16_t vh_any __attribute__((ext_vector_type(LANES), aligned(1), may_alias));

INLINE vf load(const float *p) { return *(const vf_any *)p; }
INLINE void store(float *p, vf x) { *(vf_any *)p = x; }
INLINE vf splat(float x) { return (vf)x; }
// Picks a where the mask is set.
INLINE vf pick(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }
// NaN in b stays.
INLINE vf max_of(vf a, vf b) { return pick(a > b, a, b); }

// The first n lanes from memory, zero (or `fill`) in the others.
INLINE vf load_some(const float *p, int64_t n, float fill) {
  float lanes[LANES];
  for (int i = 0; i < LANES; i++) lanes[i] = i < n ? p[i] : fill;
  return load(lanes);
}
INLINE void store_some(float *p, int64_t n, vf x) {
  float lanes[LANES];
  store(lanes, x);
  for (int i = 0; i < LANES; i++) {
    if (i < n) p[i] = lanes[i];
  }
}

// By halves, so the order is fixed.
INLINE float sum_of(vf x) {
  float lanes[LANES];
  store(lanes, x);
  for (int half = LANES / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}
// NaN if any lane is.
INLINE float largest_of(vf x) {
  float lanes[LANES];
  store(lanes, x);
  float m = lanes[0];
  for (int i = 1; i < LANES; i++) m = m > lanes[i] ? m : (m != m ? m : lanes[i]);
  return m;
}

// e^x, relative error 2e-7; 0 below -87.3, meant for x <= 88; NaN stays. e^x = 2^n e^r with |r| <= ln 2 / 2; adding
// 1.5 * 2^23 rounds to an integer, which then stands in the low bits. The polynomial is the Taylor series up to r^7 / 7!.
INLINE vf exp_of(vf x) {
  vf shifted = x * 0x1.715476p+0f + 0x1.8p23f;
  vf n = shifted - 0x1.8p23f;
  vf r = x - n * 0x1.62e4p-1f;
  r = r - n * 0x1.7f7d1cp-20f;
  vf q = r * 0x1.a01a02p-13f + 0x1.6c16c2p-10f;
  q = q * r + 0x1.111112p-7f;
  q = q * r + 0x1.555556p-5f;
  q = q * r + 0x1.555556p-3f;
  q = q * r + 0.5f;
  q = q * (r * r) + r + 1.0f;
  vf power = (vf)(((vi)shifted << 23) + 0x3f800000);
  vf y = q * power;
  return pick(x < -87.3f, splat(0), y);
}

// 1 / (1 + e^-x)
INLINE vf sigmoid_of(vf x) {
  vf e = exp_of(pick(x > 0.0f, -x, x));
  vf s = 1.0f / (1.0f + e);
  return pick(x > 0.0f, s, e * s);
}

INLINE vf widened_bf16(vh h) { return (vf)(__builtin_convertvector(h, vu) << 16); }
// Exponents are moved by a multiplication, which is exact for subnormal numbers too.
INLINE vf widened_f16(vh h) {
  vu u = __builtin_convertvector(h, vu);
  vu magnitude = u & 0x7fffu;
  vf x = (vf)(magnitude << 13) * 0x1p112f;
  vi special = magnitude > 0x7bffu;
  x = (vf)((vu)x | ((vu)special & 0x7f800000u));
  return (vf)((vu)x | (u & 0x8000u) << 16);
}

// Elements from index i on of an array of the type.
INLINE vf load_typed(const void *p, int64_t i, int type) {
  const char *bytes = p;
  if (type == POLICY_F32) return *(const vf_any *)(bytes + 4 * i);
  vh h = *(const vh_any *)(bytes + 2 * i);
  return type == POLICY_BF16 ? widened_bf16(h) : widened_f16(h);
}
INLINE float load_one(const void *p, int64_t i, int type) {
  const char *bytes = p;
  if (type == POLICY_F32) {
    float x;
    memcpy(&x, bytes + 4 * i, 4);
    return x;
  }
  uint16_t h;
  memcpy(&h, bytes + 2 * i, 2);
  vh v = (vh)h;
  return (type == POLICY_BF16 ? widened_bf16(v) : widened_f16(v))[0];
}
INLINE const void *element(const void *p, int64_t i, int type) {
  return (const char *)p + i * (type == POLICY_F32 ? 4 : 2);
}
#endif
