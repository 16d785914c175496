#include "entropy_kernels.h"
#include <math.h>
#include <string.h>

#if defined(__linux__) && defined(__x86_64__)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif
#define INTERLEAVED _Pragma("clang loop interleave_count(8)")
#define INLINE static inline __attribute__((always_inline))

INLINE int64_t bits_of(double x) {
  int64_t b;
  memcpy(&b, &x, sizeof b);
  return b;
}

INLINE double of_bits(int64_t b) {
  double x;
  memcpy(&x, &b, sizeof x);
  return x;
}

// The functions of one number here have no branch, so that loops over them vectorise.

// Below this e^x is no normal double. NaN becomes it too.
INLINE double raised(double x) { return x >= -707.0 ? x : -707.0; }

// e^x for x >= -707: 2^n e^r with n = round(x / ln 2), |r| <= ln 2 / 2, and e^r = 1 + r + r^2 q(r). q has degree 9 and
// interpolates (e^r - 1 - r) / r^2 at Chebyshev nodes: relative error of e^r 1.3e-17. Adding 1.5 * 2^52 rounds to an
// integer, which then stands in the low bits and is shifted into the exponent. The even and odd powers of q are two Horner
// schemes side by side, so that more can go on at once.
INLINE double exp_normal(double x) {
  double shifted = x * 0x1.71547652b82fep+0 + 0x1.8p52;
  double n = shifted - 0x1.8p52;
  double r = x - n * 0x1.62e42fefa0000p-1;
  r = r - n * 0x1.cf79abc9e3b3ap-40;
  double r2 = r * r;
  double even = r2 * 0x1.289185613a3d6p-22 + 0x1.a019b90d2ae7ap-16;
  double odd = r2 * 0x1.af38a9b0ec855p-26 + 0x1.71de0dae63bb3p-19;
  even = even * r2 + 0x1.6c16c1788bd90p-10;
  odd = odd * r2 + 0x1.a01a01a7c41d5p-13;
  even = even * r2 + 0x1.5555555553d63p-5;
  odd = odd * r2 + 0x1.11111111109b3p-7;
  even = even * r2 + 0x1.0000000000001p-1;
  odd = odd * r2 + 0x1.5555555555556p-3;
  double q = odd * r + even;
  double y = 1.0 + (q * r2 + r);
  return of_bits(bits_of(y) + (int64_t)((uint64_t)bits_of(shifted) << 52));
}

// ln x = e ln 2 + ln m with m in [sqrt 1/2, sqrt 2), and ln m = 2 artanh(s), s = (m - 1) / (m + 1), by its Taylor
// series up to s^19: relative error 5e-17 of ln m.
INLINE double log1e(double x) {
  uint64_t bits = (uint64_t)bits_of(x);
  uint64_t shifted = bits + (0x3ff0000000000000 - 0x3fe6a09e667f3bcd);
  // The biased exponent as a double: its bits below those of 2^52.
  double e = of_bits((int64_t)(shifted >> 52 | 0x4330000000000000)) - (0x1p52 + 1023.0);
  double m = of_bits((int64_t)(bits - ((shifted & 0x7ff0000000000000) - 0x3ff0000000000000)));
  double f = m - 1.0;
  double s = f / (m + 1.0);
  double t = s * s;
  double p = t * (2.0 / 19) + 2.0 / 17;
  p = p * t + 2.0 / 15;
  p = p * t + 2.0 / 13;
  p = p * t + 2.0 / 11;
  p = p * t + 2.0 / 9;
  p = p * t + 2.0 / 7;
  p = p * t + 2.0 / 5;
  p = p * t + 2.0 / 3;
  // 2 s = f - s f keeps the leading term exact.
  return e * 0x1.62e42fefa0000p-1 + (f - s * (f - t * p) + e * 0x1.cf79abc9e3b3ap-40);
}

CLONES void arpo_exp(const double *x, size_t count, double *out) {
  INTERLEAVED
  for (size_t i = 0; i < count; i++) {
    double y = exp_normal(raised(x[i]));
    out[i] = x[i] >= -707.0 ? y : 0.0;
  }
}

CLONES void arpo_log(const double *x, size_t count, double *out) {
  for (size_t i = 0; i < count; i++) out[i] = log1e(x[i]);
}

// The special cases are choices between results that are all computed; one whose case does not hold may be NaN.
CLONES void arpo_entropy_bounds(const double *restrict s, const double *restrict z, const double *restrict lowest,
                                const int32_t *restrict listed, size_t count, double vocabulary,
                                double *restrict lower, double *restrict upper) {
  for (size_t i = 0; i < count; i++) {
    double r = 1.0 - z[i] > 0.0 ? 1.0 - z[i] : 0.0;
    double m = vocabulary - (double)listed[i];
    double ln_r = log1e(r);
    double even = s[i] - r * (ln_r - log1e(m));
    double c = exp_normal(raised(lowest[i]));
    // floor(r / c): adding 2^52 rounds to an integer, at times to the one above. SSE2 has no instruction for it.
    double ratio = r / c;
    double q = (ratio + 0x1p52) - 0x1p52;
    q = q > ratio ? q - 1.0 : q;
    q = ratio < 0x1p52 ? q : ratio;
    double left = r - q * c > 0.0 ? r - q * c : 0.0;
    double low = s[i] - (r - left) * lowest[i] - (left > 0.0 ? left * log1e(left) : 0.0);
    low = r > m * c ? even : low;
    low = lowest[i] == INFINITY ? s[i] - r * ln_r : low;
    int full = (r == 0.0) | (m <= 0.0);
    int none = listed[i] == 0;
    lower[i] = none ? NAN : full ? s[i] : low;
    upper[i] = (none | (vocabulary == INFINITY)) ? NAN : full ? s[i] : even;
  }
}

CLONES void arpo_entropy_renormalized(const double *restrict s, const double *restrict z,
                                      const int32_t *restrict listed, size_t count, double *restrict out) {
  for (size_t i = 0; i < count; i++) out[i] = listed[i] > 0 ? s[i] / z[i] + log1e(z[i]) : NAN;
}

typedef double d4 __attribute__((ext_vector_type(4)));

// Candidates whose sums are made at a time (two buffers of doubles that stay in the first cache), and those that one
// turn of a loop weighs; a chunk is some blocks.
enum { CHUNK = 512, BLOCK = 64 };

// Where the sampled token's place is known instead of the ids, the places stand for the ids.
static const int32_t own_places[CHUNK] = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30,
    31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58,
    59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86,
    87, 88, 89, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
    112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 130, 131, 132, 133, 134,
    135, 136, 137, 138, 139, 140, 141, 142, 143, 144, 145, 146, 147, 148, 149, 150, 151, 152, 153, 154, 155, 156, 157,
    158, 159, 160, 161, 162, 163, 164, 165, 166, 167, 168, 169, 170, 171, 172, 173, 174, 175, 176, 177, 178, 179, 180,
    181, 182, 183, 184, 185, 186, 187, 188, 189, 190, 191, 192, 193, 194, 195, 196, 197, 198, 199, 200, 201, 202, 203,
    204, 205, 206, 207, 208, 209, 210, 211, 212, 213, 214, 215, 216, 217, 218, 219, 220, 221, 222, 223, 224, 225, 226,
    227, 228, 229, 230, 231, 232, 233, 234, 235, 236, 237, 238, 239, 240, 241, 242, 243, 244, 245, 246, 247, 248, 249,
    250, 251, 252, 253, 254, 255, 256, 257, 258, 259, 260, 261, 262, 263, 264, 265, 266, 267, 268, 269, 270, 271, 272,
    273, 274, 275, 276, 277, 278, 279, 280, 281, 282, 283, 284, 285, 286, 287, 288, 289, 290, 291, 292, 293, 294, 295,
    296, 297, 298, 299, 300, 301, 302, 303, 304, 305, 306, 307, 308, 309, 310, 311, 312, 313, 314, 315, 316, 317, 318,
    319, 320, 321, 322, 323, 324, 325, 326, 327, 328, 329, 330, 331, 332, 333, 334, 335, 336, 337, 338, 339, 340, 341,
    342, 343, 344, 345, 346, 347, 348, 349, 350, 351, 352, 353, 354, 355, 356, 357, 358, 359, 360, 361, 362, 363, 364,
    365, 366, 367, 368, 369, 370, 371, 372, 373, 374, 375, 376, 377, 378, 379, 380, 381, 382, 383, 384, 385, 386, 387,
    388, 389, 390, 391, 392, 393, 394, 395, 396, 397, 398, 399, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410,
    411, 412, 413, 414, 415, 416, 417, 418, 419, 420, 421, 422, 423, 424, 425, 426, 427, 428, 429, 430, 431, 432, 433,
    434, 435, 436, 437, 438, 439, 440, 441, 442, 443, 444, 445, 446, 447, 448, 449, 450, 451, 452, 453, 454, 455, 456,
    457, 458, 459, 460, 461, 462, 463, 464, 465, 466, 467, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477, 478, 479,
    480, 481, 482, 483, 484, 485, 486, 487, 488, 489, 490, 491, 492, 493, 494, 495, 496, 497, 498, 499, 500, 501, 502,
    503, 504, 505, 506, 507, 508, 509, 510, 511,
};

INLINE int32_t place_of(uint8_t place) { return place == 255 ? -1 : place; }

// Adds what `count` candidates of one token contribute, given their p and -p ln p. Four lanes, then the rest in the
// first lanes, so the order of additions does not depend on the machine. A template, as C has none: REAL is the type of
// the logprobs, V its vector of four, I the vector of as many integers of its size.
#define DEFINE_SUMS(REAL, WORD, name, add_token, weigh)                                                                \
  typedef REAL name##_v4 __attribute__((ext_vector_type(4)));                                                          \
  typedef WORD name##_i4 __attribute__((ext_vector_type(4)));                                                          \
  typedef int32_t name##_id4 __attribute__((ext_vector_type(4)));                                                      \
                                                                                                                       \
  INLINE void add_token(const REAL *l, const int32_t *ids, const double *p, const double *t, int32_t count,            \
                        int32_t sampled, double *s, double *z, double *lowest, uint8_t *flags) {                       \
    d4 zs = {0, 0, 0, 0}, ss = {0, 0, 0, 0};                                                                           \
    const name##_v4 infinite = {INFINITY, INFINITY, INFINITY, INFINITY};                                               \
    name##_v4 low = infinite;                                                                                          \
    name##_i4 listed = {0, 0, 0, 0}, missing = {0, 0, 0, 0};                                                           \
    int32_t i = 0;                                                                                                     \
    for (; i + 4 <= count; i += 4) {                                                                                   \
      d4 p4, t4;                                                                                                       \
      name##_v4 l4;                                                                                                    \
      name##_id4 id4;                                                                                                  \
      memcpy(&p4, p + i, sizeof p4);                                                                                   \
      memcpy(&t4, t + i, sizeof t4);                                                                                   \
      memcpy(&l4, l + i, sizeof l4);                                                                                   \
      memcpy(&id4, ids + i, sizeof id4);                                                                               \
      zs += p4;                                                                                                        \
      ss += t4;                                                                                                        \
      name##_i4 same = __builtin_convertvector(id4 == sampled, name##_i4);                                             \
      listed |= same;                                                                                                  \
      missing |= l4 != l4;                                                                                             \
      l4 = same ? infinite : l4;                                                                                       \
      low = l4 < low ? l4 : low;                                                                                       \
    }                                                                                                                  \
    for (int32_t j = 0; i < count; i++, j++) {                                                                         \
      zs[j] += p[i];                                                                                                   \
      ss[j] += t[i];                                                                                                   \
      if (ids[i] == sampled)                                                                                           \
        listed[j] = -1;                                                                                                \
      else if (l[i] < low[j])                                                                                          \
        low[j] = l[i];                                                                                                 \
      if (l[i] != l[i]) missing[j] = -1;                                                                               \
    }                                                                                                                  \
    *z += (zs[0] + zs[2]) + (zs[1] + zs[3]);                                                                           \
    *s += (ss[0] + ss[2]) + (ss[1] + ss[3]);                                                                           \
    REAL a = low[0] < low[2] ? low[0] : low[2], b = low[1] < low[3] ? low[1] : low[3];                                 \
    a = a < b ? a : b;                                                                                                 \
    *lowest = a < *lowest ? a : *lowest;                                                                               \
    if (listed[0] | listed[1] | listed[2] | listed[3]) *flags |= ARPO_SAMPLED_LISTED;                                  \
    if (missing[0] | missing[1] | missing[2] | missing[3]) *flags |= ARPO_CANDIDATE_MISSING;                           \
  }                                                                                                                    \
                                                                                                                       \
  /* The same where neither the smallest candidate nor the sampled one is looked for, and none is missing. */          \
  INLINE void name##_add_plain(const double *p, const double *t, int32_t count, double *s, double *z) {                \
    d4 zs = {0, 0, 0, 0}, ss = {0, 0, 0, 0};                                                                           \
    int32_t i = 0;                                                                                                     \
    for (; i + 4 <= count; i += 4) {                                                                                   \
      d4 p4, t4;                                                                                                       \
      memcpy(&p4, p + i, sizeof p4);                                                                                   \
      memcpy(&t4, t + i, sizeof t4);                                                                                   \
      zs += p4;                                                                                                        \
      ss += t4;                                                                                                        \
    }                                                                                                                  \
    for (int32_t j = 0; i < count; i++, j++) {                                                                         \
      zs[j] += p[i];                                                                                                   \
      ss[j] += t[i];                                                                                                   \
    }                                                                                                                  \
    /* The first and third lane of both, and the second and fourth. */                                                 \
    d4 pairs = __builtin_shufflevector(zs, ss, 0, 4, 1, 5) + __builtin_shufflevector(zs, ss, 2, 6, 3, 7);              \
    *z = pairs[0] + pairs[2];                                                                                          \
    *s = pairs[1] + pairs[3];                                                                                          \
  }                                                                                                                    \
                                                                                                                       \
  /* p = e^(scale l) and t = -p scale l. What is no number gives p = 9e-308, which no sum notices. Tells whether       \
     there is one. */                                                                                                  \
  INLINE WORD name##_block(const REAL *restrict l, double scale, double *restrict p, double *restrict t) {             \
    INTERLEAVED                                                                                                        \
    for (size_t i = 0; i < BLOCK; i++) {                                                                               \
      double x = raised(scale * (double)l[i]);                                                                         \
      double y = exp_normal(x);                                                                                        \
      p[i] = y;                                                                                                        \
      t[i] = -y * x;                                                                                                   \
    }                                                                                                                  \
    WORD missing = 0;                                                                                                  \
    for (size_t i = 0; i < BLOCK; i++) missing |= l[i] != l[i];                                                        \
    return missing;                                                                                                    \
  }                                                                                                                    \
                                                                                                                       \
  /* The same of some candidates, with room for whole blocks in p and t. */                                            \
  INLINE WORD weigh(const REAL *restrict l, size_t count, double scale, double *restrict p, double *restrict t) {      \
    WORD missing = 0;                                                                                                  \
    size_t i = 0;                                                                                                      \
    for (; i + BLOCK <= count; i += BLOCK) missing |= name##_block(l + i, scale, p + i, t + i);                        \
    if (i < count) {                                                                                                   \
      REAL rest[BLOCK] = {0};                                                                                          \
      memcpy(rest, l + i, (count - i) * sizeof *l);                                                                    \
      missing |= name##_block(rest, scale, p + i, t + i);                                                              \
    }                                                                                                                  \
    return missing;                                                                                                    \
  }                                                                                                                    \
                                                                                                                       \
  CLONES void name(const REAL *logprobs, const int32_t *ids, const int32_t *counts, const int32_t *sampled,            \
                   const uint8_t *places, size_t tokens, double scale, arpo_candidate_sums out) {                      \
    _Alignas(64) double p[CHUNK];                                                                                      \
    _Alignas(64) double t[CHUNK];                                                                                      \
    size_t token = 0;                                                                                                  \
    while (token < tokens) {                                                                                           \
      size_t first = token, flat = 0;                                                                                  \
      for (; token < tokens && flat + (size_t)counts[token] <= CHUNK; token++) {                                       \
        flat += (size_t)counts[token];                                                                                 \
        out.s[token] = out.z[token] = 0;                                                                               \
        if (out.lowest) out.lowest[token] = INFINITY;                                                                  \
        out.flags[token] = 0;                                                                                          \
      }                                                                                                                \
      if (token > first) {                                                                                             \
        WORD missing = weigh(logprobs, flat, scale, p, t);                                                             \
        size_t at = 0;                                                                                                 \
        if (ids == NULL && out.lowest == NULL && !missing) {                                                           \
          for (size_t i = first; i < token; i++) {                                                                     \
            name##_add_plain(p + at, t + at, counts[i], out.s + i, out.z + i);                                         \
            if (place_of(places[i]) >= 0 && places[i] < counts[i]) out.flags[i] = ARPO_SAMPLED_LISTED;                 \
            at += (size_t)counts[i];                                                                                   \
          }                                                                                                            \
        } else {                                                                                                       \
          for (size_t i = first; i < token; i++) {                                                                     \
            double lowest = INFINITY;                                                                                  \
            add_token(logprobs + at, ids ? ids + at : own_places, p + at, t + at, counts[i],                           \
                      ids ? sampled[i] : place_of(places[i]), out.s + i, out.z + i, &lowest, out.flags + i);           \
            if (out.lowest) out.lowest[i] = lowest;                                                                    \
            at += (size_t)counts[i];                                                                                   \
          }                                                                                                            \
        }                                                                                                              \
        logprobs += flat;                                                                                              \
        if (ids) ids += flat;                                                                                          \
        continue;                                                                                                      \
      }                                                                                                                \
      /* One token with more candidates than a chunk holds. */                                                         \
      out.s[token] = out.z[token] = 0;                                                                                 \
      out.flags[token] = 0;                                                                                            \
      double lowest = INFINITY;                                                                                        \
      int32_t wanted = ids ? sampled[token] : place_of(places[token]);                                                 \
      for (size_t left = (size_t)counts[token]; left > 0;) {                                                           \
        size_t n = left < CHUNK ? left : CHUNK;                                                                        \
        (void)weigh(logprobs, n, scale, p, t);                                                                         \
        add_token(logprobs, ids ? ids : own_places, p, t, (int32_t)n, wanted, out.s + token, out.z + token,            \
                  &lowest, out.flags + token);                                                                         \
        logprobs += n;                                                                                                 \
        /* Places lie in the first chunk. */                                                                           \
        if (ids) ids += n; else wanted = -1;                                                                           \
        left -= n;                                                                                                     \
      }                                                                                                                \
      if (out.lowest) out.lowest[token] = lowest;                                                                      \
      token++;                                                                                                         \
    }                                                                                                                  \
  }

DEFINE_SUMS(float, int32_t, arpo_candidate_sums_float, add_token_float, weigh_float)
DEFINE_SUMS(double, int64_t, arpo_candidate_sums_double, add_token_double, weigh_double)

CLONES static void select_listed(const uint8_t *restrict wanted, const int32_t *restrict counts, size_t tokens,
                                 int32_t *restrict listed, double *restrict s) {
  for (size_t i = 0; i < tokens; i++) listed[i] = wanted[i] ? counts[i] : 0;
  for (size_t i = 0; i < tokens; i++) s[i] = listed[i] > 0 ? s[i] : NAN;
}

size_t arpo_candidates_listed(const uint8_t *wanted, const int32_t *counts, const uint8_t *flags, size_t tokens,
                              int32_t *listed, double *s, int32_t *outside) {
  select_listed(wanted, counts, tokens, listed, s);
  // Every one is written, and kept if it belongs there.
  size_t n = 0;
  for (size_t i = 0; i < tokens; i++) {
    outside[n] = (int32_t)i;
    n += (listed[i] > 0) & !(flags[i] & ARPO_SAMPLED_LISTED);
  }
  return n;
}
