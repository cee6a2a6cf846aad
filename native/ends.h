// The 5 x 5 layers at both ends, and what lies around the last one. Part of kernels.cpp.
#pragma once

#include "lanes.h"

namespace leansr::ISA {
namespace {

template <int Channels>
void first(const FirstRow& row, const float* kernel, const float* bias) {
  using B = Block<Channels>;
  for (int x = 0; x < row.width; x += B::P) {
    for (int o = 0; o < Channels; o += B::kOutputs) {
      Vector sums[B::P][B::N];
      UNROLL for (int n = 0; n < B::N; n++) {
        const Vector b = load(bias + o + n * kLanes);
        UNROLL for (int i = 0; i < B::P; i++) sums[i][n] = b;
      }
      for (int dy = 0; dy < 5; dy++) {
        accumulate<B::P, B::N, 1>(sums, row.in[dy] + x, kernel + dy * 5 * Channels + o, Channels,
                                  5);
      }
      UNROLL for (int i = 0; i < B::P; i++) {
        UNROLL for (int n = 0; n < B::N; n++) {
          store(row.out + long(x + i) * Channels + o + n * kLanes, sums[i][n]);
        }
      }
    }
  }
}

// A row of pixels as a row of each channel.
template <int Channels>
void planes(const float* row, float* planes, size_t plane, int width) {
  for (int x = 0; x < width; x += kLanes) {
    for (int c = 0; c < Channels; c += kLanes) {
      Vector block[kLanes];
      UNROLL for (int i = 0; i < kLanes; i++) block[i] = load(row + long(x + i) * Channels + c);
      transpose<1>(block);
      UNROLL for (int i = 0; i < kLanes; i++) store(planes + (c + i) * plane + x, block[i]);
    }
  }
}

#if defined(__AVX512BF16__)
// A row of pixels as a row of each pair of channels, in bfloat16.
template <int Channels>
void plane_pairs(const float* row, float* planes, size_t plane, int width) {
  for (int x = 0; x < width; x += 16) {
    for (int c = 0; c < Channels; c += 16) {
      // Pixels i and i + 8 side by side, of which 8 x 8 pairs each change places.
      Vector block[8];
      UNROLL for (int i = 0; i < 8; i++) {
        const float* in = row + long(x + i) * Channels + c;
        block[i] = (Vector)_mm512_cvtne2ps_pbh((__m512)load(in + 8 * Channels), (__m512)load(in));
      }
      transpose<1>(block);
      UNROLL for (int i = 0; i < 8; i++) store(planes + (c / 2 + i) * plane + x, block[i]);
    }
  }
}
#endif

// Four outputs of Q registers of pixels, from channels or pairs of them. Pixels are the lanes, as
// four outputs would not fill a register.
template <int Parts, int Q, bool Pairs>
INLINE void last_pixels(const LastRow& row, int x) {
  Vector sums[4][Q];
  UNROLL for (int o = 0; o < 4; o++) {
    UNROLL for (int q = 0; q < Q; q++) sums[o][q] = splat(row.bias[o]);
  }
  const float* weights = row.kernel;
  for (int dy = 0; dy < 5; dy++) {
    for (int c = 0; c < Parts; c++) {
      const float* in = row.in[dy] + c * row.plane + x;
      UNROLL for (int dx = 0; dx < 5; dx++) {
        Vector pixels[Q];
        UNROLL for (int q = 0; q < Q; q++) pixels[q] = load(in + dx + q * kLanes);
        UNROLL for (int o = 0; o < 4; o++) {
          UNROLL for (int q = 0; q < Q; q++) {
            multiply_add<Pairs>(sums[o][q], weights[4 * dx + o], pixels[q]);
          }
        }
      }
      weights += 20;
    }
  }
  const int pitch = (row.width + 15) / 16 * 16;
  UNROLL for (int o = 0; o < 4; o++) {
    UNROLL for (int q = 0; q < Q; q++) store(row.out + o * pitch + x + q * kLanes, sums[o][q]);
  }
}

template <int Parts, bool Pairs>
void last(const LastRow& row) {
  constexpr int Q = kRegisters / 4;
  const int width = (row.width + kLanes - 1) / kLanes * kLanes;
  int x = 0;
  for (; x + Q * kLanes <= width; x += Q * kLanes) last_pixels<Parts, Q, Pairs>(row, x);
  if constexpr (Q > 3) {
    for (; x + 3 * kLanes <= width; x += 3 * kLanes) last_pixels<Parts, 3, Pairs>(row, x);
  }
  for (; x < width; x += kLanes) last_pixels<Parts, 1, Pairs>(row, x);
}

template <int Scale>
void spread(const Spread& to) {
  int x = 0;
  for (; x + kLanes <= to.width; x += kLanes) {
    const Vector lr = to.lr ? load(to.lr + x) : Vector{};
    Vector v[4];
    UNROLL for (int o = 0; o < 4; o++) v[o] = load(to.quads + o * to.pitch + x) + lr;
    if constexpr (Scale == 2) {
      UNROLL for (int row = 0; row < 2; row++) {
        interleave({v[2 * row], v[2 * row + 1]}, to.sr + row * to.sr_pitch + 2 * x);
      }
    } else {
      interleave(v, to.sr + 4 * x);
    }
  }
  for (; x < to.width; x++) {
    for (int o = 0; o < 4; o++) {
      float* sr = to.sr + (Scale == 2 ? o / 2 : 0) * to.sr_pitch + Scale * x + o % Scale;
      *sr = to.quads[o * to.pitch + x] + (to.lr ? to.lr[x] : 0.0f);
    }
  }
}

}  // namespace
}  // namespace leansr::ISA
