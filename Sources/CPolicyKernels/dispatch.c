#include "variant.h"
#include <stddef.h>

const policy_variant *policy_variant_of(int32_t isa) {
  switch (isa) {
    case POLICY_PORTABLE: return &policy_portable;
#if defined(__x86_64__)
    case POLICY_AVX2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &policy_avx2 : NULL;
    case POLICY_AVX512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                     __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
                 ? &policy_avx512
                 : NULL;
#endif
    default: return NULL;
  }
}

int32_t policy_isa_supported(int32_t isa) { return policy_variant_of(isa) != NULL; }

int32_t policy_isa_best(void) {
  int32_t isa = POLICY_AVX512;
  while (isa > POLICY_PORTABLE && !policy_isa_supported(isa)) isa--;
  return isa;
}
