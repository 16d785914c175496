#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define LANES 8
#define TILE_ROWS 6
#define TILE_VECTORS 2
#define VARIANT policy_avx2
#define VARIANT_ISA POLICY_AVX2
#include "variant_body.h"
#pragma clang attribute pop
#endif
