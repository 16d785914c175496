#ifndef ARPO_PLANES_H
#define ARPO_PLANES_H
#include <stddef.h>
#include <stdint.h>

// Byte planes: byte b of every word, one plane after the other, so that bytes of like meaning stand together.
void arpo_planes_split(const void *words, size_t count, int width, uint8_t *planes);
void arpo_planes_join(const uint8_t *planes, size_t count, int width, void *words);

// Log-probabilities of candidates as steps below the best of their row: lp = best - q * step in float32, which is
// what a log-softmax over bf16 logits gives exactly. Returns the number of rows that this does not reproduce bit for bit and
// marks them in `bad`; their steps are 0.
size_t arpo_steps_encode(const float *lp, const int32_t *counts, size_t rows, float step, float *best, uint16_t *steps,
                         uint8_t *bad);
void arpo_steps_decode(const float *best, const uint16_t *steps, const int32_t *counts, size_t rows, float step,
                       float *lp);

// A 64-bit hash of bytes, for telling equal content; not for adversaries.
uint64_t arpo_hash(const void *bytes, size_t count, uint64_t seed);
#endif
