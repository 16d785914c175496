#include "planes.h"
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__linux__) && defined(__x86_64__)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

CLONES static void split4(const uint32_t *restrict w, size_t n, uint8_t *restrict p) {
  for (size_t i = 0; i < n; i++) p[i] = (uint8_t)w[i];
  for (size_t i = 0; i < n; i++) p[n + i] = (uint8_t)(w[i] >> 8);
  for (size_t i = 0; i < n; i++) p[2 * n + i] = (uint8_t)(w[i] >> 16);
  for (size_t i = 0; i < n; i++) p[3 * n + i] = (uint8_t)(w[i] >> 24);
}

CLONES static void join4(const uint8_t *restrict p, size_t n, uint32_t *restrict w) {
  for (size_t i = 0; i < n; i++)
    w[i] = p[i] | (uint32_t)p[n + i] << 8 | (uint32_t)p[2 * n + i] << 16 | (uint32_t)p[3 * n + i] << 24;
}

CLONES static void join2(const uint8_t *restrict p, size_t n, uint16_t *restrict w) {
  for (size_t i = 0; i < n; i++) w[i] = (uint16_t)(p[i] | p[n + i] << 8);
}

void arpo_planes_split(const void *words, size_t count, int width, uint8_t *planes) {
  if (width == 4) {
    split4(words, count, planes);
    return;
  }
  const uint8_t *bytes = words;
  for (int b = 0; b < width; b++)
    for (size_t i = 0; i < count; i++) planes[(size_t)b * count + i] = bytes[i * (size_t)width + (size_t)b];
}

void arpo_planes_join(const uint8_t *planes, size_t count, int width, void *words) {
  if (width == 4) {
    join4(planes, count, words);
  } else if (width == 2) {
    join2(planes, count, words);
  } else {
    uint8_t *bytes = words;
    for (int b = 0; b < width; b++)
      for (size_t i = 0; i < count; i++) bytes[i * (size_t)width + (size_t)b] = planes[(size_t)b * count + i];
  }
}

CLONES void arpo_plane_range(const uint8_t *plane, size_t count, uint8_t *smallest, uint8_t *largest) {
  uint8_t low = 255, high = 0;
  for (size_t i = 0; i < count; i++) {
    low = plane[i] < low ? plane[i] : low;
    high = plane[i] > high ? plane[i] : high;
  }
  *smallest = low;
  *largest = high;
}

CLONES size_t arpo_plane_count_from(const uint8_t *plane, size_t count, int value) {
  size_t n = 0;
  for (size_t i = 0; i < count;) {
    // Counts of a stretch fit into bytes, which sum up faster.
    uint8_t sum = 0;
    size_t end = i + 255 < count ? i + 255 : count;
    for (; i < end; i++) sum += plane[i] >= value;
    n += sum;
  }
  return n;
}

CLONES static void pack2(const uint8_t *restrict plane, size_t quarters, uint32_t base, uint8_t *restrict out) {
  for (size_t i = 0; i < quarters; i++) {
    uint32_t w;
    memcpy(&w, plane + 4 * i, 4);
    w -= base * 0x01010101;
    out[i] = (uint8_t)(w | w >> 6 | w >> 12 | w >> 18);
  }
}

void arpo_plane_pack2(const uint8_t *plane, size_t count, uint8_t base, uint8_t *out) {
  pack2(plane, count / 4, base, out);
  uint8_t byte = 0;
  for (size_t j = count & ~(size_t)3; j < count; j++)
    byte |= (uint8_t)((uint8_t)(plane[j] - base) << (2 * (j & 3)));
  if (count & 3) out[count / 4] = byte;
}

void arpo_plane_unpack2(const uint8_t *packed, size_t count, uint8_t base, uint8_t *plane) {
  size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    uint8_t b = packed[i / 4];
    plane[i] = (uint8_t)(base + (b & 3));
    plane[i + 1] = (uint8_t)(base + (b >> 2 & 3));
    plane[i + 2] = (uint8_t)(base + (b >> 4 & 3));
    plane[i + 3] = (uint8_t)(base + (b >> 6));
  }
  for (size_t j = i; j < count; j++) plane[j] = (uint8_t)(base + (packed[i / 4] >> (2 * (j - i)) & 3));
}

CLONES static void pack4(const uint8_t *restrict plane, size_t halves, uint8_t base, uint8_t *restrict out) {
  for (size_t i = 0; i < halves; i++) {
    uint8_t a = (uint8_t)(plane[2 * i] - base), b = (uint8_t)(plane[2 * i + 1] - base);
    out[i] = (uint8_t)((a < 15 ? a : 15) | (b < 15 ? b : 15) << 4);
  }
}

size_t arpo_plane_pack4(const uint8_t *plane, size_t count, uint8_t base, uint8_t *out, uint8_t *escapes) {
  pack4(plane, count / 2, base, out);
  if (count & 1) {
    uint8_t a = (uint8_t)(plane[count - 1] - base);
    out[count / 2] = a < 15 ? a : 15;
  }
  // Every value is written, and kept if it is an escape.
  size_t n = 0;
  for (size_t i = 0; i < count; i++) {
    escapes[n] = plane[i];
    n += (uint8_t)(plane[i] - base) >= 15;
  }
  return n;
}

CLONES static void unpack4(const uint8_t *restrict packed, size_t halves, uint8_t *restrict plane) {
  for (size_t i = 0; i < halves; i++) {
    plane[2 * i] = packed[i] & 15;
    plane[2 * i + 1] = packed[i] >> 4;
  }
}

size_t arpo_plane_pack1(const uint8_t *plane, size_t count, uint8_t base, uint8_t *bits, uint8_t *others) {
  size_t n = 0, i = 0;
  for (; i + 8 <= count; i += 8) {
    uint64_t w;
    memcpy(&w, plane + i, 8);
    // 1 in every byte that is not the base (differences are below 4), gathered by one multiplication.
    w -= base * 0x0101010101010101;
    w = (w | w >> 1) & 0x0101010101010101;
    bits[i / 8] = (uint8_t)((w * 0x0102040810204080) >> 56);
  }
  if (i < count) bits[i / 8] = 0;
  for (; i < count; i++) bits[i / 8] |= (uint8_t)((plane[i] != base) << (i & 7));
  for (size_t j = 0; j < count; j++) {
    others[n] = plane[j];
    n += plane[j] != base;
  }
  return n;
}

CLONES static void unpack1(const uint8_t *restrict bits, size_t count, uint8_t *restrict plane) {
  // 15 marks a place that is filled later.
  for (size_t i = 0; i < count; i++) plane[i] = (bits[i / 8] >> (i & 7) & 1) ? 15 : 0;
}

#if defined(__x86_64__)
// 64 values at a time: the escapes of a stretch are spread to their places by one instruction.
__attribute__((target("avx512f,avx512bw,avx512vbmi2,popcnt,bmi2"))) static size_t fill_escapes_avx512(
    uint8_t *plane, size_t count, uint8_t base, const uint8_t *escapes, size_t available) {
  const __m512i mark = _mm512_set1_epi8(15), add = _mm512_set1_epi8((char)base);
  size_t n = 0;
  for (size_t i = 0; i < count; i += 64) {
    __mmask64 in = count - i < 64 ? ((uint64_t)1 << (count - i)) - 1 : ~(uint64_t)0;
    __m512i v = _mm512_maskz_loadu_epi8(in, plane + i);
    __mmask64 found = _mm512_mask_cmpeq_epi8_mask(in, v, mark);
    size_t k = (size_t)_mm_popcnt_u64(found);
    if (n + k > available) return SIZE_MAX;
    __m512i source = _mm512_maskz_loadu_epi8(_bzhi_u64(~(uint64_t)0, (unsigned)k), escapes + n);
    v = _mm512_mask_expand_epi8(_mm512_add_epi8(v, add), found, source);
    _mm512_mask_storeu_epi8(plane + i, in, v);
    n += k;
  }
  return n;
}
#endif

// Fills every place that is marked with 15 from `escapes`, and adds the base to the others.
static size_t fill_escapes(uint8_t *plane, size_t count, uint8_t base, const uint8_t *escapes, size_t available) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi2"))
    return fill_escapes_avx512(plane, count, base, escapes, available);
#endif
  size_t n = 0;
  for (size_t i = 0; i < count; i++) {
    if (__builtin_expect(plane[i] == 15, 0)) {
      if (n == available) return SIZE_MAX;
      plane[i] = escapes[n++];
    } else {
      plane[i] = (uint8_t)(plane[i] + base);
    }
  }
  return n;
}

size_t arpo_plane_unpack4(const uint8_t *packed, size_t count, uint8_t base, const uint8_t *escapes, size_t available,
                          uint8_t *plane) {
  unpack4(packed, count / 2, plane);
  if (count & 1) plane[count - 1] = packed[count / 2] & 15;
  return fill_escapes(plane, count, base, escapes, available);
}

size_t arpo_plane_unpack1(const uint8_t *bits, size_t count, uint8_t base, const uint8_t *others, size_t available,
                          uint8_t *plane) {
  unpack1(bits, count, plane);
  return fill_escapes(plane, count, base, others, available);
}

void arpo_delta16(uint16_t *values, const int32_t *counts, size_t rows) {
  for (size_t r = 0; r < rows; r++) {
    for (int32_t i = counts[r] - 1; i > 0; i--) values[i] = (uint16_t)(values[i] - values[i - 1]);
    values += counts[r];
  }
}

// One row. Not contracted to a fused multiply-add: the product is exact, so both give the same bits.
static inline int row_encode(const float *restrict lp, int32_t k, float best, float step, float inverse,
                             uint16_t *restrict q) {
  int32_t wrong = 0;
  for (int32_t i = 0; i < k; i++) {
    float x = (best - lp[i]) * inverse + 0.5f;
    // Out of range (and NaN) becomes 0, which the check below finds out.
    int32_t s = x >= 0 && x < 65535.0f ? (int32_t)x : 0;
    float back = best - (float)s * step;
    int32_t a, b;
    memcpy(&a, &back, 4);
    memcpy(&b, &lp[i], 4);
    wrong |= a ^ b;
    q[i] = (uint16_t)s;
  }
  return wrong != 0;
}

CLONES size_t arpo_steps_encode(const float *lp, const int32_t *counts, size_t rows, float step, float *best,
                                uint16_t *steps, uint8_t *bad) {
  size_t failed = 0;
  const float inverse = 1.0f / step;
  for (size_t r = 0; r < rows; r++) {
    int32_t k = counts[r];
    float top = k > 0 ? lp[0] : 0;
    for (int32_t i = 1; i < k; i++) top = lp[i] > top ? lp[i] : top;
    best[r] = top;
    bad[r] = (uint8_t)row_encode(lp, k, top, step, inverse, steps);
    if (bad[r]) {
      failed++;
      memset(steps, 0, (size_t)k * 2);
    }
    lp += k;
    steps += k;
  }
  return failed;
}

// Not contracted to a fused multiply-add, or contracted: the product is exact, so both give the same bits.
CLONES static void steps_decode(const float *restrict best, const uint8_t *restrict low, const uint8_t *restrict high,
                                const int32_t *restrict counts, size_t rows, float step, float *restrict lp) {
  for (size_t r = 0; r < rows; r++) {
    const int32_t k = counts[r];
    const float top = best[r];
    uint16_t q = 0;
    for (int32_t i = 0; i < k; i++) {
      q = (uint16_t)(q + (low[i] | high[i] << 8));
      lp[i] = top - (float)q * step;
    }
    lp += k;
    low += k;
    high += k;
  }
}

#if defined(__x86_64__)
// The running sums of 32 steps by five shifts: by 1, 2, 4, 8 and 16 places.
__attribute__((target("avx512f,avx512bw,avx512vl"))) static void steps_decode_avx512(
    const float *best, const uint8_t *low, const uint8_t *high, const int32_t *counts, size_t rows, float step,
    float *lp) {
  uint16_t places[5][32];
  __m512i from[5];
  for (int s = 0; s < 5; s++) {
    for (int i = 0; i < 32; i++) places[s][i] = (uint16_t)(i - (1 << s));
    from[s] = _mm512_loadu_si512(places[s]);
  }
  const __m512 size = _mm512_set1_ps(step);
  for (size_t r = 0; r < rows; r++) {
    const __m512 top = _mm512_set1_ps(best[r]);
    __m512i before = _mm512_setzero_si512();
    for (int32_t left = counts[r]; left > 0; left -= 32) {
      const int32_t n = left < 32 ? left : 32;
      const __mmask32 in = (uint32_t)-1 >> (32 - n);
      __m512i v = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(in, low));
      v = _mm512_or_si512(v, _mm512_slli_epi16(_mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(in, high)), 8));
      v = _mm512_add_epi16(v, _mm512_maskz_permutexvar_epi16(~(uint32_t)0 << 1, from[0], v));
      v = _mm512_add_epi16(v, _mm512_maskz_permutexvar_epi16(~(uint32_t)0 << 2, from[1], v));
      v = _mm512_add_epi16(v, _mm512_maskz_permutexvar_epi16(~(uint32_t)0 << 4, from[2], v));
      v = _mm512_add_epi16(v, _mm512_maskz_permutexvar_epi16(~(uint32_t)0 << 8, from[3], v));
      if (n > 16) v = _mm512_add_epi16(v, _mm512_maskz_permutexvar_epi16(~(uint32_t)0 << 16, from[4], v));
      if (left < counts[r]) v = _mm512_add_epi16(v, before);
      __m512 q = _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(v)));
      _mm512_mask_storeu_ps(lp, (__mmask16)in, _mm512_fnmadd_ps(q, size, top));
      if (n > 16) {
        q = _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(v, 1)));
        _mm512_mask_storeu_ps(lp + 16, (__mmask16)(in >> 16), _mm512_fnmadd_ps(q, size, top));
      }
      if (left > 32) before = _mm512_permutexvar_epi16(_mm512_set1_epi16(31), v);
      lp += n;
      low += n;
      high += n;
    }
  }
}
#endif

void arpo_steps_decode(const float *best, const uint8_t *low, const uint8_t *high, const int32_t *counts, size_t rows,
                       float step, float *lp) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
    steps_decode_avx512(best, low, high, counts, rows, step, lp);
    return;
  }
#endif
  steps_decode(best, low, high, counts, rows, step, lp);
}

CLONES int arpo_sampled_places(const int32_t *restrict ids, const int32_t *restrict counts, size_t rows,
                               const int32_t *restrict sampled, uint8_t *restrict places) {
  int plain = 1;
  for (size_t r = 0; r < rows; r++) {
    const int32_t k = counts[r], token = sampled[r];
    int32_t hits = 0, place = 0;
    for (int32_t i = 0; i < k; i++) {
      int32_t hit = ids[i] == token;
      hits += hit;
      place += hit * i;
    }
    plain &= hits <= 1 && place < 255;
    places[r] = (uint8_t)(hits == 1 ? place : 255);
    ids += k;
  }
  return plain;
}

static inline uint64_t mix(uint64_t a, uint64_t b) {
  __uint128_t m = (__uint128_t)a * b;
  return (uint64_t)m ^ (uint64_t)(m >> 64);
}

uint64_t arpo_hash(const void *bytes, size_t count, uint64_t seed) {
  const uint64_t k0 = 0x9E3779B97F4A7C15, k1 = 0xD1B54A32D192ED03;
  const uint8_t *p = bytes;
  uint64_t a = seed ^ k0, b = (seed ^ count) * k1;
  size_t n = count;
  while (n >= 16) {
    uint64_t x, y;
    memcpy(&x, p, 8);
    memcpy(&y, p + 8, 8);
    a = mix(a ^ x, k0);
    b = mix(b ^ y, k1);
    p += 16;
    n -= 16;
  }
  uint64_t tail[2] = {0, 0};
  memcpy(tail, p, n);
  return mix(a ^ tail[0] ^ k1, b ^ tail[1] ^ k0) ^ mix(count ^ k0, k1);
}
