#include "dispatch.h"

#include <cstring>
#if defined(__unix__)
#include <unistd.h>
#endif

namespace leansr {

#define LEANSR_KERNELS(isa) \
  namespace isa {           \
  extern const Kernels kernels; \
  }
LEANSR_KERNELS(portable)
#if defined(__x86_64__)
LEANSR_KERNELS(avx2)
LEANSR_KERNELS(avx512)
LEANSR_KERNELS(avx512vnni)
LEANSR_KERNELS(avx512bf16)
#endif

namespace {

std::vector<const Kernels*> found() {
  std::vector<const Kernels*> rows;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    if (__builtin_cpu_supports("avx512vnni")) {
      if (__builtin_cpu_supports("avx512bf16")) rows.push_back(&avx512bf16::kernels);
      rows.push_back(&avx512vnni::kernels);
    }
    rows.push_back(&avx512::kernels);
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    rows.push_back(&avx2::kernels);
  }
#endif
  rows.push_back(&portable::kernels);
  return rows;
}

}  // namespace

const std::vector<const Kernels*>& available_kernels() {
  static const std::vector<const Kernels*> rows = found();
  return rows;
}

const Kernels* find_kernels(const char* name) {
  for (const Kernels* row : available_kernels()) {
    if (std::strcmp(row->name, name) == 0) return row;
  }
  return nullptr;
}

size_t cache_bytes() {
  long bytes = 0;
#if defined(_SC_LEVEL2_CACHE_SIZE)
  bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
  return bytes > 0 ? size_t(bytes) / 2 : 256 * 1024;
}

}  // namespace leansr
