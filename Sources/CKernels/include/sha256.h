#ifndef ARPO_SHA256_H
#define ARPO_SHA256_H
#include <stddef.h>
#include <stdint.h>

// SHA-256 (FIPS 180-4), incremental. Uses the processor's SHA instructions where it has them.
typedef struct {
  uint32_t state[8];
  uint64_t length;
  uint8_t block[64];
} arpo_sha256;

void arpo_sha256_begin(arpo_sha256 *s);
void arpo_sha256_add(arpo_sha256 *s, const void *bytes, size_t count);
// Writes 32 bytes; the state itself is left as it was, so that a running hash can be read.
void arpo_sha256_read(const arpo_sha256 *s, uint8_t digest[32]);
#endif
