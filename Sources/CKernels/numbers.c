#include "numbers.h"
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__linux__) && defined(__x86_64__)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif
#define INLINE static inline __attribute__((always_inline))

INLINE uint64_t load8(const uint8_t *p) {
  uint64_t w;
  memcpy(&w, p, 8);
  return w;
}

// The number that eight ASCII digits spell, by three multiplications that join neighbours. Upper halves of bytes do not
// matter.
INLINE uint32_t eight_digits(uint64_t w) {
  w &= 0x0F0F0F0F0F0F0F0F;
  w = (w * 2561) >> 8 & 0x00FF00FF00FF00FF;
  w = (w * 6553601) >> 16 & 0x0000FFFF0000FFFF;
  return (uint32_t)((w * 42949672960001) >> 32);
}

// How many of a word's bytes, from the lowest, are ASCII digits.
INLINE int leading_digits(uint64_t w) {
  // A byte is a digit if its upper half is 3 and stays 3 when 6 is added to it.
  uint64_t wrong = ((w & 0xF0F0F0F0F0F0F0F0) ^ 0x3030303030303030) |
                   (((w + 0x0606060606060606) & 0xF0F0F0F0F0F0F0F0) ^ 0x3030303030303030);
  return wrong ? __builtin_ctzll(wrong) >> 3 : 8;
}

static arpo_numbers_end read_integers_plain(const uint8_t *at, int32_t *out, size_t room) {
  const uint8_t *p = at;
  size_t n = 0;
  while (n < room) {
    uint64_t w = load8(p);
    int digits = leading_digits(w);
    uint32_t x;
    const uint8_t *q = p + digits;
    if (__builtin_expect(digits == 8, 0)) {
      x = eight_digits(w);
      if (*q >= '0' && *q <= '9') {
        x = x * 10 + (uint32_t)(*q - '0');
        q++;
      }
    } else {
      // Shifted up, the digits have zeros in front of them. Two shifts, since one by 64 is not defined.
      x = eight_digits(w << (56 - 8 * digits) << 8);
    }
    if (__builtin_expect(digits == 0 || (*p == '0' && digits > 1), 0)) break;
    if (*q == ',') {
      out[n++] = (int32_t)x;
      p = q + 1;
      p += *p == ' ';
    } else if (*q == ']') {
      out[n++] = (int32_t)x;
      return (arpo_numbers_end){q + 1, n, 1};
    } else {
      break;
    }
  }
  return (arpo_numbers_end){p, n, 0};
}

arpo_numbers_end arpo_read_bits(const uint8_t *at, uint8_t *out, size_t room) {
  const uint8_t *p = at;
  size_t n = 0;
  while (n < room) {
    // Four elements without spaces in a word.
    while (n + 4 <= room) {
      uint64_t w = load8(p);
      if ((w & 0xFFFEFFFEFFFEFFFE) != 0x2C302C302C302C30) break;
      for (int i = 0; i < 4; i++) out[n + (size_t)i] = (uint8_t)(w >> (16 * i)) & 1;
      n += 4;
      p += 8;
    }
    if (n == room || (p[0] & 0xFE) != '0') break;
    if (p[1] == ',') {
      out[n++] = p[0] & 1;
      p += 2;
      p += *p == ' ';
    } else if (p[1] == ']') {
      out[n++] = p[0] & 1;
      return (arpo_numbers_end){p + 2, n, 1};
    } else {
      break;
    }
  }
  return (arpo_numbers_end){p, n, 0};
}

#if defined(__x86_64__)
// The double nearest to m * 10^e, m not 0; 0 if the approximation of the power cannot tell. The method is that of
// DecimalConversion.swift, whose table this reads.
INLINE double nearest(uint64_t m, int e, const uint64_t *power) {
  int shift = __builtin_clzll(m);
  uint64_t w = m << shift;
  __uint128_t first = (__uint128_t)w * power[0];
  uint64_t high = (uint64_t)(first >> 64), low = (uint64_t)first;
  if (__builtin_expect((high & 0x1FF) == 0x1FF, 0)) {
    uint64_t second = (uint64_t)((__uint128_t)w * power[1] >> 64);
    low += second;
    high += second > low;
    if (low == UINT64_MAX && (e < -27 || e > 55)) return 0;
  }
  int upper = (int)(high >> 63);
  uint64_t mantissa = high >> (upper + 9);
  int64_t exponent = ((217706 * e) >> 16) + 63 + upper - shift + 1023;
  if (exponent <= 0 || exponent >= 2046) return 0;
  // Exactly halfway: round to even.
  if (__builtin_expect(low <= 1 && e >= -4 && e <= 23 && (mantissa & 3) == 1 && mantissa << (upper + 9) == high, 0))
    mantissa &= ~(uint64_t)1;
  mantissa = (mantissa + (mantissa & 1)) >> 1;
  // 2^53 carries into the exponent by itself: its mantissa bits are 0.
  uint64_t bits = ((uint64_t)exponent << 52) + (mantissa - ((uint64_t)1 << 52));
  double x;
  memcpy(&x, &bits, 8);
  return x;
}

// Bytes of a window that are set from `32 - n` on, for n = 0 … 32.
static const uint8_t tail_mask[64] __attribute__((aligned(64))) = {
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
};

// The elements of a stretch of text are found first and read then, so that no number waits for the length of the one
// before it.
enum { stretch_bytes = 2048, stretch_room = stretch_bytes + 64 };

#define AVX2 __attribute__((target("avx2,fma,bmi,bmi2,lzcnt,popcnt")))
#define AVX512 \
  __attribute__((target("avx2,fma,bmi,bmi2,lzcnt,popcnt,avx512f,avx512cd,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2")))

// Offsets of the ',' and ']' of a text, in its order. May write up to 64 offsets too many.
typedef size_t (*separators)(const uint8_t *text, size_t length, uint32_t *offsets);

AVX2 static inline uint64_t separators_64(const uint8_t *p) {
  const __m256i comma = _mm256_set1_epi8(','), closing = _mm256_set1_epi8(']');
  __m256i a = _mm256_loadu_si256((const __m256i *)p), b = _mm256_loadu_si256((const __m256i *)(p + 32));
  a = _mm256_or_si256(_mm256_cmpeq_epi8(a, comma), _mm256_cmpeq_epi8(a, closing));
  b = _mm256_or_si256(_mm256_cmpeq_epi8(b, comma), _mm256_cmpeq_epi8(b, closing));
  return (uint32_t)_mm256_movemask_epi8(a) | (uint64_t)(uint32_t)_mm256_movemask_epi8(b) << 32;
}

AVX2 static size_t separators_avx2(const uint8_t *text, size_t length, uint32_t *offsets) {
  size_t n = 0;
  for (size_t i = 0; i < length; i += 64) {
    uint64_t mask = separators_64(text + i);
    uint32_t *out = offsets + n;
    int count = (int)_mm_popcnt_u64(mask);
    n += (size_t)count;
    // Four at a time without asking whether there are as many: most loops then end where the one before did.
    do {
      for (int k = 0; k < 4; k++) {
        *out++ = (uint32_t)(i + _tzcnt_u64(mask));
        mask = _blsr_u64(mask);
      }
    } while (mask);
  }
  return n;
}

AVX512 static size_t separators_avx512(const uint8_t *text, size_t length, uint32_t *offsets) {
  const __m512i comma = _mm512_set1_epi8(','), closing = _mm512_set1_epi8(']');
  const __m512i iota = _mm512_set_epi8(
      63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35,
      34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5,
      4, 3, 2, 1, 0);
  size_t n = 0;
  for (size_t i = 0; i < length; i += 64) {
    __m512i v = _mm512_loadu_si512(text + i);
    uint64_t mask = _mm512_cmpeq_epi8_mask(v, comma) | _mm512_cmpeq_epi8_mask(v, closing);
    __m512i found = _mm512_maskz_compress_epi8(mask, iota);
    __m512i base = _mm512_set1_epi32((int)i);
    int count = (int)_mm_popcnt_u64(mask);
    __m512i o = _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_castsi512_si128(found)), base);
    _mm512_storeu_si512(offsets + n, o);
    if (__builtin_expect(count > 16, 0)) {
      o = _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(found, 1)), base);
      _mm512_storeu_si512(offsets + n + 16, o);
      o = _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(found, 2)), base);
      _mm512_storeu_si512(offsets + n + 32, o);
      o = _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(found, 3)), base);
      _mm512_storeu_si512(offsets + n + 48, o);
    }
    n += (size_t)count;
  }
  return n;
}

INLINE size_t stretch(const uint8_t *at, const uint8_t *end, size_t *size) {
  // Short at first: many arrays are.
  size_t length = *size < (size_t)(end - at) ? *size : (size_t)(end - at);
  *size = stretch_bytes;
  return length;
}

AVX2 INLINE arpo_numbers_end read_integers(separators find, arpo_text text, const uint8_t *at, int32_t *out,
                                           size_t room) {
  uint32_t ends[stretch_room];
  size_t n = 0, size = 256;
  const uint8_t *p = at;
  if (p - text.begin < 16) return read_integers_plain(at, out, room);
  while (n < room) {
    const uint8_t *base = p;
    size_t found = find(base, stretch(base, text.end, &size), ends);
    found = found < room - n ? found : room - n;
    size_t i = 0;
    for (; i < found; i++) {
      const uint8_t *end = base + ends[i];
      uint32_t length = (uint32_t)(end - p);
      // The digits end the word; before them stand bytes of the element before.
      uint64_t w = load8(end - 8);
      uint64_t keep = ~(uint64_t)0 << ((64 - 8 * length) & 63);
      w = (w ^ 0x3030303030303030) & keep;
      uint64_t wrong = (w | (w + 0x0606060606060606)) & 0xF0F0F0F0F0F0F0F0;
      int odd = (length - 1 > 7) | ((*p == '0') & (length > 1)) | (wrong != 0);
      if (__builtin_expect(odd, 0)) break;
      out[n++] = (int32_t)eight_digits(w);
      p = end + 1;
      if (__builtin_expect(*end == ']', 0)) return (arpo_numbers_end){p, n, 1};
      p += *p == ' ';
    }
    if (i < found || found == 0) {
      // Nine digits, or nothing that is read here.
      arpo_numbers_end one = {p, 0, 0};
      if (n < room) one = read_integers_plain(p, out + n, 1);
      n += one.count;
      p = one.at;
      if (one.count == 0 || one.closed) return (arpo_numbers_end){p, n, one.closed};
    }
  }
  return (arpo_numbers_end){p, n, 0};
}

AVX2 static arpo_numbers_end read_integers_avx2(arpo_text text, const uint8_t *at, int32_t *out, size_t room) {
  return read_integers(separators_avx2, text, at, out, room);
}

AVX512 static arpo_numbers_end read_integers_avx512(arpo_text text, const uint8_t *at, int32_t *out, size_t room) {
  return read_integers(separators_avx512, text, at, out, room);
}

// A decimal number taken apart: (-1)^negative * significand * 10^power.
typedef struct {
  uint64_t significand;
  int32_t power;
  int32_t negative;
} decimal;

// One element of any shape that is read; 0 if it is none.
AVX2 static __attribute__((noinline)) int take_any(const uint8_t *p, const uint8_t *end, decimal *out) {
  decimal d = {0, 0, *p == '-'};
  p += d.negative;
  int digits = 0, fraction = 0, point = 0;
  if (end - p > 1 && p[0] == '0' && p[1] >= '0' && p[1] <= '9') return 0;
  const uint8_t *first = p;
  for (; p < end && ((*p >= '0' && *p <= '9') || *p == '.'); p++) {
    if (*p == '.') {
      if (point || p == first) return 0;
      point = 1;
      continue;
    }
    fraction += point;
    if (d.significand > 999999999999999999) return 0;
    d.significand = d.significand * 10 + (uint64_t)(*p - '0');
    digits++;
  }
  if (digits == 0 || (point && fraction == 0)) return 0;
  if (p < end) {
    if ((*p++ | 0x20) != 'e') return 0;
    int minus = p < end && *p == '-';
    p += p < end && (*p == '-' || *p == '+');
    if (end - p < 1 || end - p > 2) return 0;
    for (; p < end; p++) {
      if (*p < '0' || *p > '9') return 0;
      d.power = d.power * 10 + (*p - '0');
    }
    d.power = minus ? -d.power : d.power;
  }
  d.power -= fraction;
  if (d.significand != 0 && (d.power < -37 || d.power > 18)) return 0;
  *out = d;
  return 1;
}

// One element of any shape; 0 if it is none that is read, or too close to halfway to be decided here.
AVX2 static __attribute__((noinline)) int read_any(const uint8_t *p, const uint8_t *end, const uint64_t *powers,
                                                   int first_power, double *value, arpo_reals_scan *scan) {
  if (end - p == 4 && memcmp(p, "null", 4) == 0) {
    *value = (double)__builtin_nanf("");
    scan->missing++;
    return 1;
  }
  decimal d;
  if (!take_any(p, end, &d)) return 0;
  double x = 0;
  if (d.significand != 0) {
    x = nearest(d.significand, d.power, powers + 2 * (d.power - first_power));
    if (x == 0) return 0;
    scan->positive |= !d.negative;
  }
  if (d.significand > scan->significand) scan->significand = d.significand;
  *value = d.negative ? -x : x;
  return 1;
}

AVX2 INLINE arpo_numbers_end read_reals(separators find, arpo_text text, const uint8_t *at, const uint64_t *powers,
                                        int first_power, float *floats, double *doubles, size_t room,
                                        arpo_reals_scan *scan) {
  enum { batch = 64 };
  const __m256i zero = _mm256_set1_epi8('0'), nine = _mm256_set1_epi8(9);
  const __m256i tens = _mm256_set1_epi16(0x010A), hundreds = _mm256_set1_epi32(0x00010064),
                myriads = _mm256_set1_epi32(0x00012710);
  uint32_t ends[stretch_room];
  decimal parts[batch];
  double values[batch];
  const uint8_t *p = at;
  size_t n = 0, size = 256;
  int closed = 0;
  if (p - text.begin < 33) return (arpo_numbers_end){at, 0, 0};
  while (n < room && !closed) {
    const uint8_t *base = p;
    size_t found = find(base, stretch(base, text.end, &size), ends);
    found = found < room - n ? found : room - n;
    size_t i = 0;
    int stopped = found == 0;
    while (i < found && !closed && !stopped) {
      // Taken apart first, then converted: each loop fits into the registers.
      size_t count = 0, wanted = found - i < batch ? found - i : batch;
      for (; count < wanted; count++) {
        const uint8_t *end = base + ends[i + count];
        uint32_t length = (uint32_t)(end - p);
        __m256i d = _mm256_sub_epi8(_mm256_loadu_si256((const __m256i *)p), zero);
        uint32_t digits = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_min_epu8(d, nine), d));
        uint32_t negative = *p == '-';
        // What is no digit. In a plain number that is the point alone.
        uint32_t rest = _bzhi_u32(~digits, length) & ~negative;
        uint32_t point = _tzcnt_u32(rest);
        uint32_t whole = point - negative, fraction = length - point - 1;
        int odd = (_blsr_u32(rest) != 0) | (p[point & 31] != '.') | (whole - 1 > 7) | (fraction - 1 > 22 - whole) |
                  ((p[negative] == '0') & (whole > 1)) | (length > 31);
        // The digits, right-aligned: those of the fraction end where the number does, the others a byte before their
        // place.
        __m256i a = _mm256_loadu_si256((const __m256i *)(end - 32));
        __m256i b = _mm256_loadu_si256((const __m256i *)(end - 33));
        __m256i is_fraction = _mm256_loadu_si256((const __m256i *)(tail_mask + (fraction & 31)));
        __m256i is_digit = _mm256_loadu_si256((const __m256i *)(tail_mask + ((fraction + whole) & 31)));
        __m256i x = _mm256_and_si256(_mm256_sub_epi8(_mm256_blendv_epi8(b, a, is_fraction), zero), is_digit);
        x = _mm256_madd_epi16(_mm256_maddubs_epi16(x, tens), hundreds);
        x = _mm256_madd_epi16(_mm256_packus_epi32(x, x), myriads);
        uint64_t high = (uint64_t)_mm_cvtsi128_si64(_mm256_extracti128_si256(x, 1));
        uint64_t top = (uint64_t)_mm_cvtsi128_si64(_mm256_castsi256_si128(x)) >> 32;
        if (__builtin_expect(odd | (top > 999), 0)) {
          if (length == 4 && memcmp(p, "null", 4) == 0) {
            parts[count] = (decimal){0, INT32_MAX, 0};
          } else if (!take_any(p, end, parts + count)) {
            stopped = 1;
            break;
          }
        } else {
          parts[count].significand =
              top * 10000000000000000 + (uint32_t)high * (uint64_t)100000000 + (high >> 32);
          parts[count].power = -(int32_t)fraction;
          parts[count].negative = (int32_t)negative;
        }
        p = end + 1;
        p += *p == ' ';
        if (__builtin_expect(*end == ']', 0)) {
          p = end + 1;
          closed = 1;
          count++;
          break;
        }
      }
      uint64_t largest = scan->significand;
      int positive = 0;
      for (size_t k = 0; k < count; k++) {
        uint64_t m = parts[k].significand;
        uint64_t bits = 0;
        if (__builtin_expect(m != 0, 1)) {
          double value = nearest(m, parts[k].power, powers + 2 * (parts[k].power - first_power));
          memcpy(&bits, &value, 8);
          if (__builtin_expect(bits == 0, 0)) {
            // The caller decides this one and goes on from there.
            stopped = 1;
            closed = 0;
            p = base;
            for (size_t q = 0; q < i + k; q++) {
              p = base + ends[q] + 1;
              p += *p == ' ';
            }
            count = k;
            break;
          }
        } else if (__builtin_expect(parts[k].power == INT32_MAX, 0)) {
          bits = 0x7FF8000000000000;
          scan->missing++;
        }
        largest = m > largest ? m : largest;
        positive |= !parts[k].negative & (m != 0);
        bits |= (uint64_t)(uint32_t)parts[k].negative << 63;
        memcpy(values + k, &bits, 8);
      }
      scan->significand = largest;
      scan->positive |= positive;
      if (doubles) {
        memcpy(doubles + n, values, count * 8);
      } else {
        int inexact = 0;
        for (size_t k = 0; k < count; k++) {
          float narrow = (float)values[k];
          floats[n + k] = narrow;
          inexact |= ((double)narrow != values[k]) & (values[k] == values[k]);
        }
        scan->inexact |= inexact;
      }
      n += count;
      i += count;
    }
    if (stopped) break;
  }
  return (arpo_numbers_end){p, n, closed};
}

AVX2 static arpo_numbers_end read_reals_avx2(arpo_text text, const uint8_t *at, const uint64_t *powers,
                                             int first_power, float *floats, double *doubles, size_t room,
                                             arpo_reals_scan *scan) {
  return read_reals(separators_avx2, text, at, powers, first_power, floats, doubles, room, scan);
}

// 10^0 … 10^22 and their reciprocals.
static const double tens_exact[24] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                      1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22, 1e22};
static const double tens_inverse[24] = {1e0,   1e-1,  1e-2,  1e-3,  1e-4,  1e-5,  1e-6,  1e-7,
                                        1e-8,  1e-9,  1e-10, 1e-11, 1e-12, 1e-13, 1e-14, 1e-15,
                                        1e-16, 1e-17, 1e-18, 1e-19, 1e-20, 1e-21, 1e-22, 1e-22};
static const uint64_t tens_whole[24] = {1,
                                        10,
                                        100,
                                        1000,
                                        10000,
                                        100000,
                                        1000000,
                                        10000000,
                                        100000000,
                                        1000000000,
                                        10000000000,
                                        100000000000,
                                        1000000000000,
                                        10000000000000,
                                        100000000000000,
                                        1000000000000000,
                                        10000000000000000,
                                        100000000000000000,
                                        1000000000000000000};

// Bytes of 0 … 9 in each lane, the first one lowest, to the number they spell.
AVX512 INLINE __m512i spelled(__m512i digits) {
  __m512i x = _mm512_maddubs_epi16(digits, _mm512_set1_epi16(0x010A));
  x = _mm512_madd_epi16(x, _mm512_set1_epi32(0x00010064));
  return _mm512_add_epi64(_mm512_mul_epu32(x, _mm512_set1_epi64(10000)), _mm512_srli_epi64(x, 32));
}

// The upper `count` bytes of each lane; none or all of them where count is below 1 or above 7.
AVX512 INLINE __m512i upper(__m512i word, __m512i count) {
  __m512i shift = _mm512_sub_epi64(_mm512_set1_epi64(64), _mm512_slli_epi64(count, 3));
  shift = _mm512_max_epi64(shift, _mm512_setzero_si512());
  return _mm512_and_si512(word, _mm512_sllv_epi64(_mm512_set1_epi64(-1), shift));
}

// Eight numbers at a time, one a lane.
AVX512 static arpo_numbers_end read_reals_avx512(arpo_text text, const uint8_t *at, const uint64_t *powers,
                                                 int first_power, float *floats, double *doubles, size_t room,
                                                 arpo_reals_scan *scan) {
  enum { batch = 64 };
  uint32_t ends[stretch_room];
  // Of each element its first eight bytes, and the 24 before its end in three words.
  uint64_t head[batch], tail0[batch], tail1[batch], tail2[batch], length[batch];
  double values[batch];
  const __m512i ascii = _mm512_set1_epi8('0'), top_bits = _mm512_set1_epi8((char)0x80);
  __m512i largest = _mm512_setzero_si512();
  const uint8_t *p = at;
  size_t n = 0, size = 256;
  int closed = 0, positive = 0, inexact = 0;
  if (p - text.begin < 32) return (arpo_numbers_end){at, 0, 0};
  while (n < room && !closed) {
    const uint8_t *base = p;
    size_t found = separators_avx512(base, stretch(base, text.end, &size), ends);
    found = found < room - n ? found : room - n;
    size_t i = 0;
    int stopped = found == 0;
    while (i < found && !closed && !stopped) {
      size_t count = 0, wanted = found - i < batch ? found - i : batch;
      const uint8_t *begin = p;
      while (count < wanted) {
        const uint8_t *end = base + ends[i + count];
        head[count] = load8(p);
        tail0[count] = load8(end - 8);
        tail1[count] = load8(end - 16);
        tail2[count] = load8(end - 24);
        length[count] = (uint64_t)(end - p);
        count++;
        p = end + 1;
        if (__builtin_expect(*end == ']', 0)) {
          closed = 1;
          break;
        }
        p += *p == ' ';
      }
      uint64_t odd = 0;
      for (size_t k = 0; k < count; k += 8) {
        __m512i w = _mm512_loadu_si512(head + k), n8 = _mm512_loadu_si512(length + k);
        __mmask8 negative = _mm512_cmpeq_epi64_mask(_mm512_and_si512(w, _mm512_set1_epi64(0xFF)), _mm512_set1_epi64('-'));
        w = _mm512_mask_srli_epi64(w, negative, w, 8);
        n8 = _mm512_mask_sub_epi64(n8, negative, n8, _mm512_set1_epi64(1));
        // The point: the lowest byte that becomes 0.
        __m512i x = _mm512_xor_si512(w, _mm512_set1_epi8('.'));
        __m512i hits = _mm512_andnot_si512(x, _mm512_and_si512(_mm512_sub_epi64(x, _mm512_set1_epi64(0x0101010101010101)), top_bits));
        hits = _mm512_and_si512(hits, _mm512_sub_epi64(_mm512_setzero_si512(), hits));
        __m512i whole = _mm512_srai_epi64(_mm512_sub_epi64(_mm512_set1_epi64(63), _mm512_lzcnt_epi64(hits)), 3);
        __m512i fraction = _mm512_sub_epi64(_mm512_sub_epi64(n8, whole), _mm512_set1_epi64(1));
        __m512i dw = _mm512_sllv_epi64(_mm512_xor_si512(w, ascii),
                                       _mm512_sub_epi64(_mm512_set1_epi64(64), _mm512_slli_epi64(whole, 3)));
        __m512i d0 = upper(_mm512_xor_si512(_mm512_loadu_si512(tail0 + k), ascii), fraction);
        __m512i d1 = upper(_mm512_xor_si512(_mm512_loadu_si512(tail1 + k), ascii), _mm512_sub_epi64(fraction, _mm512_set1_epi64(8)));
        __m512i d2 = upper(_mm512_xor_si512(_mm512_loadu_si512(tail2 + k), ascii), _mm512_sub_epi64(fraction, _mm512_set1_epi64(16)));
        __m512i bytes = _mm512_max_epu8(_mm512_max_epu8(dw, d0), _mm512_max_epu8(d1, d2));
        __mmask8 wrong = _mm512_test_epi64_mask(_mm512_adds_epu8(bytes, _mm512_set1_epi8(0x76)), top_bits);
        // One to seven digits, a point, one to 22 digits. A leading zero stands alone.
        wrong |= _mm512_cmpge_epu64_mask(_mm512_sub_epi64(whole, _mm512_set1_epi64(1)), _mm512_set1_epi64(7));
        wrong |= _mm512_cmpge_epu64_mask(_mm512_sub_epi64(fraction, _mm512_set1_epi64(1)), _mm512_set1_epi64(22));
        __mmask8 zero = _mm512_cmpeq_epi64_mask(_mm512_and_si512(w, _mm512_set1_epi64(0xFF)), _mm512_set1_epi64('0'));
        wrong |= zero & _mm512_cmpgt_epi64_mask(whole, _mm512_set1_epi64(1));
        // The significand has 19 digits at most.
        __mmask8 wide = _mm512_cmpgt_epi64_mask(_mm512_add_epi64(whole, fraction), _mm512_set1_epi64(19));
        __m512i high = spelled(d2);
        wrong |= (wide & ~zero) | _mm512_cmpgt_epi64_mask(high, _mm512_set1_epi64(999));
        __m512i safe = _mm512_maskz_mov_epi64((__mmask8)~wrong, fraction);
        __m512i m = _mm512_add_epi64(_mm512_mul_epu32(spelled(d1), _mm512_set1_epi64(100000000)), spelled(d0));
        m = _mm512_add_epi64(m, _mm512_mullo_epi64(high, _mm512_set1_epi64(10000000000000000)));
        m = _mm512_add_epi64(m, _mm512_mullo_epi64(spelled(dw), _mm512_i64gather_epi64(safe, tens_whole, 8)));
        m = _mm512_maskz_mov_epi64((__mmask8)~wrong, m);
        // m / 10^fraction in twice the precision: quotient, and what its remainder and m's lower bits add to it. Both
        // are exact enough to tell the nearest double unless the sum lies halfway between two.
        __m512d t = _mm512_i64gather_pd(safe, tens_exact, 8), inverse = _mm512_i64gather_pd(safe, tens_inverse, 8);
        __m512d mh = _mm512_cvtepu64_pd(m);
        __m512d ml = _mm512_cvtepi64_pd(_mm512_sub_epi64(m, _mm512_cvttpd_epu64(mh)));
        __m512d q = _mm512_div_pd(mh, t);
        __m512d r = _mm512_mul_pd(_mm512_add_pd(_mm512_fnmadd_pd(q, t, mh), ml), inverse);
        __m512d s = _mm512_add_pd(q, r);
        __m512d error = _mm512_sub_pd(r, _mm512_sub_pd(s, q));
        wrong |= _mm512_cmp_pd_mask(_mm512_fmadd_pd(error, _mm512_set1_pd(1.0 + 0x1p-30), s), s, _CMP_NEQ_UQ);
        s = _mm512_castsi512_pd(_mm512_mask_or_epi64(_mm512_castpd_si512(s), negative, _mm512_castpd_si512(s), _mm512_set1_epi64(INT64_MIN)));
        _mm512_storeu_pd(values + k, s);
        __mmask8 good = (__mmask8)(~wrong & (count - k < 8 ? (1u << (count - k)) - 1 : 0xFF));
        largest = _mm512_mask_max_epu64(largest, good, largest, m);
        positive |= (good & ~negative & _mm512_test_epi64_mask(m, m)) != 0;
        __m256 narrow = _mm512_cvtpd_ps(s);
        inexact |= (good & _mm512_cmp_pd_mask(_mm512_cvtps_pd(narrow), s, _CMP_NEQ_UQ)) != 0;
        if (floats && n + k + 8 <= room) _mm256_storeu_ps(floats + n + k, narrow);
        odd |= (uint64_t)wrong << k;
      }
      odd &= count < 64 ? ((uint64_t)1 << count) - 1 : ~(uint64_t)0;
      for (; odd; odd = _blsr_u64(odd)) {
        size_t k = _tzcnt_u64(odd);
        const uint8_t *end = base + ends[i + k];
        const uint8_t *first = end - length[k];
        if (!read_any(first, end, powers, first_power, values + k, scan)) {
          stopped = 1;
          closed = 0;
          count = k;
          p = k == 0 ? begin : first;
          break;
        }
        float narrow = (float)values[k];
        inexact |= (double)narrow != values[k] && values[k] == values[k];
        if (floats) floats[n + k] = narrow;
      }
      if (doubles) memcpy(doubles + n, values, count * 8);
      if (floats) {
        // Behind the last whole eight that had room.
        size_t k = count & ~(size_t)7;
        for (size_t from = n + k + 8 <= room ? count : k; from < count; from++) floats[n + from] = (float)values[from];
      }
      n += count;
      i += count;
    }
    if (stopped) break;
  }
  uint64_t m = _mm512_reduce_max_epu64(largest);
  scan->significand = m > scan->significand ? m : scan->significand;
  scan->inexact |= inexact;
  scan->positive |= positive;
  return (arpo_numbers_end){p, n, closed};
}

static int has_avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("lzcnt") && __builtin_cpu_supports("popcnt");
}

static int has_avx512(void) {
  return has_avx2() && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vbmi") &&
         __builtin_cpu_supports("avx512vbmi2");
}
#endif

arpo_numbers_end arpo_read_integers(arpo_text text, const uint8_t *at, int32_t *out, size_t room) {
#if defined(__x86_64__)
  if (has_avx512()) return read_integers_avx512(text, at, out, room);
  if (has_avx2()) return read_integers_avx2(text, at, out, room);
#endif
  return read_integers_plain(at, out, room);
}

arpo_numbers_end arpo_read_reals(arpo_text text, const uint8_t *at, const uint64_t *powers, int first_power,
                                 float *floats, double *doubles, size_t room, arpo_reals_scan *scan) {
#if defined(__x86_64__)
  if (has_avx512()) return read_reals_avx512(text, at, powers, first_power, floats, doubles, room, scan);
  if (has_avx2()) return read_reals_avx2(text, at, powers, first_power, floats, doubles, room, scan);
#endif
  return (arpo_numbers_end){at, 0, 0};
}

CLONES size_t arpo_common_elements(const uint8_t *a, size_t a_length, const uint8_t *b, size_t b_length, size_t *commas) {
  size_t n = a_length < b_length ? a_length : b_length, i = 0, seen = 0;
  const size_t wanted = *commas;
  // Whole stretches first; the last one, where they part or the comma stands, byte by byte.
  enum { step = 256 };
  while (i + step <= n) {
    size_t found = 0;
    uint8_t differs = 0;
    for (size_t j = 0; j < step; j += 64) {
      uint8_t sum = 0;
      for (size_t k = 0; k < 64; k++) {
        differs |= a[i + j + k] ^ b[i + j + k];
        sum += a[i + j + k] == ',';
      }
      found += sum;
    }
    if (differs || seen + found >= wanted) break;
    seen += found;
    i += step;
  }
  for (; i < n && seen < wanted && a[i] == b[i]; i++) seen += a[i] == ',';
  *commas = seen;
  return i;
}

CLONES size_t arpo_ascii_length(const uint8_t *text, size_t length) {
  size_t i = 0;
  for (; i + 256 <= length; i += 256) {
    uint8_t all = 0;
    for (size_t k = 0; k < 256; k++) all |= text[i + k];
    if (all & 0x80) break;
  }
  return i;
}
