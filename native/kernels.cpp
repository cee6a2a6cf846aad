// The kernels, compiled once per instruction set as the namespace ISA.
//
// No templates or inline functions of the standard library in here: the linker could keep the copy
// made for one instruction set and give it to a processor without it.
#ifndef ISA
#error "compile with -DISA=<name>"
#endif

#include "body.h"
#include "ends.h"
#include "int8.h"
#include "pixels.h"

namespace leansr::ISA {
namespace {

double peak(long rounds) {
  Vector sums[kRegisters];
  UNROLL for (int i = 0; i < kRegisters; i++) sums[i] = splat(1.0f + i);
  Vector a = splat(0.5f), b = splat(1.0f);
  for (long round = 0; round < rounds; round++) {
    UNROLL for (int i = 0; i < kRegisters; i++) {
      sums[i] = a * sums[i] + b;
      __asm__ volatile("" : "+" KEPT(sums[i]));
    }
  }
  Vector sum = {};
  UNROLL for (int i = 0; i < kRegisters; i++) sum += sums[i];
  return sum[0] > 0 ? double(rounds) * kRegisters * kLanes : 0;
}

}  // namespace

extern const Kernels kernels;
const Kernels kernels = {
#define TEXT(x) #x
#define NAME(x) TEXT(x)
    NAME(ISA),
    {first<16>, first<32>},
    {spread<2>, spread<4>},
    {
        {{direct<16>, direct<32>}, {planes<16>, planes<32>}, {last<16, false>, last<32, false>}},
        {{winograd<16, false>, winograd<32, false>},
         {planes<16>, planes<32>},
         {last<16, false>, last<32, false>}},
#if defined(__AVX512BF16__)
        {{winograd<16, true>, winograd<32, true>},
         {plane_pairs<16>, plane_pairs<32>},
         {last<8, true>, last<16, true>}},
#else
        {},
#endif
#if defined(__AVX512VNNI__)
        {{whole_winograd}, {}, {last_of_levels}},
    },
    to_halves,
    first_of_halves,
#else
        {},
    },
    nullptr,
    nullptr,
#endif
    {
        {split<uint8_t, 1>, split<uint8_t, 3>},
        {split<uint16_t, 1>, split<uint16_t, 3>},
        {split<float, 1>, split<float, 3>},
    },
    {widen<2>, widen<4>},
    {
        {join<uint8_t, 1>, join<uint8_t, 3>},
        {join<uint16_t, 1>, join<uint16_t, 3>},
        {join<float, 1>, join<float, 3>},
    },
    peak,
};

}  // namespace leansr::ISA
