#ifndef ARPO_NUMBERS_H
#define ARPO_NUMBERS_H
#include <stddef.h>
#include <stdint.h>

// Readers of the elements of a JSON array of numbers, for the shapes in which loggers write them. They stop at the first
// element of any other shape, which is then the caller's: they never decide that a text is wrong.
//
// An element is read together with the ',' behind it and at most one space behind that, or with the ']' that ends the
// array.

// The text that may be read: from `begin` on, and 64 bytes behind `end`. At `end` stands a byte that belongs to no number.
typedef struct {
  const uint8_t *begin;
  const uint8_t *end;
} arpo_text;

typedef struct {
  // Behind the elements read: the beginning of the next element, or behind the ']'.
  const uint8_t *at;
  // Elements read.
  size_t count;
  // 1: the ']' was read.
  int closed;
} arpo_numbers_end;

// Whole numbers of one to nine digits without leading zeros; at most `room` of them.
arpo_numbers_end arpo_read_integers(arpo_text text, const uint8_t *at, int32_t *out, size_t room);

// Elements 0 and 1; at most `room` of them.
arpo_numbers_end arpo_read_bits(const uint8_t *at, uint8_t *out, size_t room);

// What a column of reals showed.
typedef struct {
  // Some value is not exactly a float32.
  int inexact;
  // Some value is above 0.
  int positive;
  // Elements that are null.
  size_t missing;
  // The largest significand, as a whole number: it tells the most digits.
  uint64_t significand;
} arpo_reals_scan;

// Decimal numbers with up to 19 significant digits, of ordinary size, and null, which becomes NaN; at most `room` of
// them. Each is rounded to the nearest double, and that to the nearest float32 where `floats` is given and not
// `doubles`. `powers` is the table of powers of five, 128 bits a power, the first of them 10^`first_power`. Reads none
// where the processor lacks the instructions.
arpo_numbers_end arpo_read_reals(arpo_text text, const uint8_t *at, const uint64_t *powers, int first_power,
                                 float *floats, double *doubles, size_t room, arpo_reals_scan *scan);

// Length of the common beginning of two texts in bytes, but at most up to and with the `commas`-th comma. `*commas`
// becomes the number of commas in it.
size_t arpo_common_elements(const uint8_t *a, size_t a_length, const uint8_t *b, size_t b_length, size_t *commas);

// Bytes at the front of a text that are ASCII, in whole steps of 256: the rest is to be looked at one by one.
size_t arpo_ascii_length(const uint8_t *text, size_t length);
#endif
