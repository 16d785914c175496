#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), \
                             apply_to = function)
#define LANES 16
#define TILE_ROWS 12
#define TILE_VECTORS 2
#define VARIANT policy_avx512
#define VARIANT_ISA POLICY_AVX512
#include "variant_body.h"
#pragma clang attribute pop
#endif
