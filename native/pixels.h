// Between pixels and luma, and what luma leaves out enlarged. Part of kernels.cpp.
//
// BT.601 as src/leansr/image/colour.py has it: a pixel's luma is 16 / 255 + 219 / 255 of its grey.
// Chroma is what red and blue lie above grey; what green does follows from both.
#pragma once

#include <cstdint>

#include "lanes.h"

namespace leansr::ISA {
namespace {

constexpr float kRed = 65.481f / 219, kGreen = 128.553f / 219, kBlue = 24.966f / 219;
constexpr float kBlack = 16.0f / 255, kRange = 219.0f / 255;
constexpr int kJoined = 64;  // pixels that `join` makes at a time

template <class T>
constexpr float kWhite = 1;
template <>
constexpr float kWhite<uint8_t> = 255;
template <>
constexpr float kWhite<uint16_t> = 65535;

// Plain loops here: the compilers know how to take interleaved channels apart.
template <class T, int Channels>
void split(const Split& row) {
  const T* __restrict in = static_cast<const T*>(row.pixels);
  float *__restrict luma = row.luma, *__restrict red = row.red, *__restrict blue = row.blue;
  constexpr float kUnit = 1 / kWhite<T>;
  const int width = (row.width + 15) / 16 * 16;
  for (int x = 0; x < width; x++) {
    if constexpr (Channels == 1) {
      luma[x] = kBlack + kRange * (in[x] * kUnit);
    } else {
      const float r = in[3 * x] * kUnit, g = in[3 * x + 1] * kUnit, b = in[3 * x + 2] * kUnit;
      const float grey = kRed * r + kGreen * g + kBlue * b;
      luma[x] = kBlack + kRange * grey;
      red[x] = r - grey;
      blue[x] = b - grey;
    }
  }
}

// Scale pixels of each, by MATLAB's bicubic; `in` is pixel -2.
template <int Scale>
void widen(const float* in, float* out, int width) {
  for (int x = 0; x < width; x += kLanes) {
    Vector v[Scale];
    UNROLL for (int phase = 0; phase < Scale; phase++) {
      const float* taps = kCubic[Scale == 4][phase];
      const float* from = in + x + (phase < Scale / 2 ? 0 : 1);
      v[phase] = taps[0] * load(from);
      UNROLL for (int tap = 1; tap < 4; tap++) v[phase] += taps[tap] * load(from + tap);
    }
    interleave(v, out + Scale * x);
  }
}

INLINE Vector mixed(const float* const (&lines)[4], const float* taps, int x) {
  Vector sum = taps[0] * load(lines[0] + x);
  UNROLL for (int tap = 1; tap < 4; tap++) sum += taps[tap] * load(lines[tap] + x);
  return sum;
}

// Clipped to [0, 1]; integers are rounded half up.
template <class T>
INLINE void store_level(T* at, Vector v) {
  typedef T Levels __attribute__((vector_size(sizeof(T) * kLanes), aligned(sizeof(T)), may_alias));
  v = v > 0.0f ? v : Vector{};
  v = v < 1.0f ? v : splat(1.0f);
  if constexpr (sizeof(T) == sizeof(float)) {
    store(at, v);
  } else {
    const Indices whole = __builtin_convertvector(v * kWhite<T> + 0.5f, Indices);
    *reinterpret_cast<Levels*>(at) = __builtin_convertvector(whole, Levels);
  }
}

template <class T, int Channels>
void join(const Join& row) {
  T* __restrict out = static_cast<T*>(row.pixels);
  if constexpr (Channels == 1) {
    for (int x = 0; x < row.width; x += kLanes) {
      store_level(out + x, (load(row.luma + x) - kBlack) * (1 / kRange));
    }
  } else {
    alignas(64) T parts[3][kJoined];
    for (int from = 0; from < row.width; from += kJoined) {
      for (int x = 0; x < kJoined; x += kLanes) {
        const Vector grey = (load(row.luma + from + x) - kBlack) * (1 / kRange);
        const Vector red = mixed(row.red, row.taps, from + x);
        const Vector blue = mixed(row.blue, row.taps, from + x);
        store_level(parts[0] + x, grey + red);
        store_level(parts[1] + x, grey - (kRed / kGreen) * red - (kBlue / kGreen) * blue);
        store_level(parts[2] + x, grey + blue);
      }
      for (int x = 0; x < kJoined; x++) {
        for (int c = 0; c < 3; c++) out[3 * (from + x) + c] = parts[c][x];
      }
    }
  }
}

}  // namespace
}  // namespace leansr::ISA
