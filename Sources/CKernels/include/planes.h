#ifndef ARPO_PLANES_H
#define ARPO_PLANES_H
#include <stddef.h>
#include <stdint.h>

// Byte planes: byte b of every word, one plane after the other, so that bytes of like meaning stand together.
void arpo_planes_split(const void *words, size_t count, int width, uint8_t *planes);
void arpo_planes_join(const uint8_t *planes, size_t count, int width, void *words);

// The smallest and the largest value; 255 and 0 of none.
void arpo_plane_range(const uint8_t *plane, size_t count, uint8_t *smallest, uint8_t *largest);
// How many are `value` or above.
size_t arpo_plane_count_from(const uint8_t *plane, size_t count, int value);
// Four values in base ..< base + 4 in a byte, the first in the low bits.
void arpo_plane_pack2(const uint8_t *plane, size_t count, uint8_t base, uint8_t *out);
void arpo_plane_unpack2(const uint8_t *packed, size_t count, uint8_t base, uint8_t *plane);
// A bit for each value: 0 is the base, 1 stands for the next of the others, which are in base + 1 ..< base + 4. Writes one
// of `others` more than it returns.
size_t arpo_plane_pack1(const uint8_t *plane, size_t count, uint8_t base, uint8_t *bits, uint8_t *others);
// Returns the number of others that were needed; SIZE_MAX if more than `available`.
size_t arpo_plane_unpack1(const uint8_t *bits, size_t count, uint8_t base, const uint8_t *others, size_t available,
                          uint8_t *plane);
// Two values in a byte, less base, the first in the low half; those outside base ..< base + 15 are written as 15 and stand in
// `escapes` as they are. Returns how many there are.
size_t arpo_plane_pack4(const uint8_t *plane, size_t count, uint8_t base, uint8_t *out, uint8_t *escapes);
// Returns the number of escapes that were needed; SIZE_MAX if more than `available`.
size_t arpo_plane_unpack4(const uint8_t *packed, size_t count, uint8_t base, const uint8_t *escapes, size_t available,
                          uint8_t *plane);

// Differences of neighbours within a row: candidates come sorted, so their steps grow slowly.
void arpo_delta16(uint16_t *values, const int32_t *counts, size_t rows);

// Log-probabilities of candidates as steps below the best of their row: lp = best - q * step in float32, which is
// what a log-softmax over bf16 logits gives exactly. Returns the number of rows that this does not reproduce bit for bit and
// marks them in `bad`; their steps are 0.
size_t arpo_steps_encode(const float *lp, const int32_t *counts, size_t rows, float step, float *best, uint16_t *steps,
                         uint8_t *bad);
// Back from the two byte planes of the differences between the steps of a row.
void arpo_steps_decode(const float *best, const uint8_t *low, const uint8_t *high, const int32_t *counts, size_t rows,
                       float step, float *lp);

// The place of the sampled token among the candidates of its row; 255 if it is not one of them. Returns 0 if a row lists
// its token twice, or behind place 254: then the places do not tell enough.
int arpo_sampled_places(const int32_t *ids, const int32_t *counts, size_t rows, const int32_t *sampled,
                        uint8_t *places);

// A 64-bit hash of bytes, for telling equal content; not for adversaries.
uint64_t arpo_hash(const void *bytes, size_t count, uint64_t seed);
#endif
