#ifndef ARPO_ENTROPY_KERNELS_H
#define ARPO_ENTROPY_KERNELS_H
#include <stddef.h>
#include <stdint.h>

// out[i] = e^x[i] in double precision, relative error below 4e-16. -inf, NaN and everything below -707 give 0; x is at
// most 709. In place is allowed.
void arpo_exp(const double *x, size_t count, double *out);

// out[i] = ln x[i] in double precision for positive, normal, finite x; anything else gives a meaningless number. In
// place is allowed.
void arpo_log(const double *x, size_t count, double *out);

enum {
  // The sampled token is among the candidates.
  ARPO_SAMPLED_LISTED = 1,
  // Some candidate has no number.
  ARPO_CANDIDATE_MISSING = 2,
};

// What the candidates of a token add up to.
typedef struct {
  // Sum of -p ln p, where ln p = scale * logprob.
  double *s;
  // Sum of p.
  double *z;
  // Smallest logprob of the candidates other than the sampled token, not scaled; +inf if there is none. NULL: not wanted,
  // which takes less time.
  double *lowest;
  uint8_t *flags;
} arpo_candidate_sums;

// Sums over the candidates of `tokens` tokens. counts[i] candidates belong to token i; those of all tokens follow each
// other in `logprobs` and `ids`. Without `ids`, `places` tells the place of the sampled token among its candidates (255:
// it is not one of them). A candidate that is NaN or -inf adds nothing that a sum would notice. Sums go over
// four lanes in a fixed order, so they are the same bits on every processor that has a fused multiply-add.
void arpo_candidate_sums_float(const float *logprobs, const int32_t *ids, const int32_t *counts,
                               const int32_t *sampled, const uint8_t *places, size_t tokens, double scale,
                               arpo_candidate_sums out);
void arpo_candidate_sums_double(const double *logprobs, const int32_t *ids, const int32_t *counts,
                                const int32_t *sampled, const uint8_t *places, size_t tokens, double scale,
                                arpo_candidate_sums out);

// listed[i] = counts[i] where token i is wanted, 0 where it is not, and s[i] = NaN where that is 0. Writes the wanted tokens
// that have candidates but are none of them to `outside`, which has room for all, and returns how many there are.
size_t arpo_candidates_listed(const uint8_t *wanted, const int32_t *counts, const uint8_t *flags, size_t tokens,
                              int32_t *listed, double *s, int32_t *outside);

// Bounds of the full-vocabulary entropy from the sums of the listed tokens, as TokenEntropy defines them.
// `vocabulary` is +inf if it is not known, and then upper is NaN; both are NaN where nothing is listed. The cap
// e^lowest is taken to be at least e^-707: a smaller one is the caller's to treat.
void arpo_entropy_bounds(const double *s, const double *z, const double *lowest, const int32_t *listed, size_t count,
                         double vocabulary, double *lower, double *upper);

// Entropy of the listed tokens alone, s / z + ln z; NaN where nothing is listed. z is a normal number elsewhere.
void arpo_entropy_renormalized(const double *s, const double *z, const int32_t *listed, size_t count, double *out);
#endif
