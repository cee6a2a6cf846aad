// Which of the compiled kernels this processor can run.
#pragma once

#include <vector>

#include "kernels.h"

namespace leansr {

// The fastest first; never empty.
const std::vector<const Kernels*>& available_kernels();

// The row of a name; null if this processor cannot run it or there is none.
const Kernels* find_kernels(const char* name);

// Bytes of second-level cache that one thread should use.
size_t cache_bytes();

}  // namespace leansr
