// The 3 x 3 layers with their activation. Part of kernels.cpp.
#pragma once

#include "lanes.h"

namespace leansr::ISA {
namespace {

template <int N>
INLINE void activate(Vector (&sums)[N], const float* bias, const float* slope, const float* add,
                     float* out) {
  UNROLL for (int n = 0; n < N; n++) {
    Vector t = sums[n] + load(bias + n * kLanes);
    t += negative(t) * (load(slope + n * kLanes) - 1.0f);
    if (add) t += load(add + n * kLanes);
    store(out + n * kLanes, t);
  }
}

template <int Channels, int P>
INLINE void direct_pixels(const BodyRows& rows, const BodyWeights& weights, int x) {
  using B = Block<Channels>;
  for (int o = 0; o < Channels; o += B::kOutputs) {
    Vector sums[P][B::N] = {};
    for (int tap = 0; tap < 9; tap++) {
      const float* in = rows.in[tap / 3] + (x + tap % 3) * Channels;
      accumulate<P, B::N, Channels>(sums, in, weights.kernel + tap * Channels * Channels + o,
                                    Channels, Channels);
    }
    UNROLL for (int i = 0; i < P; i++) {
      const long at = long(x + i) * Channels + o;
      activate<B::N>(sums[i], weights.bias + o, weights.slope + o,
                     rows.add[0] ? rows.add[0] + at : nullptr, rows.out[0] + at);
    }
  }
}

template <int Channels>
void direct(const BodyRows& rows, const BodyWeights& weights, float*) {
  constexpr int P = Block<Channels>::P, kSmall = P / 3;
  int x = 0;
  for (; x + P - kSmall < rows.width; x += P) direct_pixels<Channels, P>(rows, weights, x);
  for (; x < rows.width; x += kSmall) direct_pixels<Channels, kSmall>(rows, weights, x);
}

// F(4 x 4, 3 x 3) with the points 0, 1, -1, 2, -2 and infinity (Lavin and Gray, 2015).
INLINE void to_products(const Vector (&d)[6], Vector (&t)[6]) {
  t[0] = 4.0f * d[0] + (d[4] - 5.0f * d[2]);
  const Vector a = d[4] - 4.0f * d[2], b = d[3] - 4.0f * d[1];
  t[1] = a + b;
  t[2] = a - b;
  const Vector c = d[4] - d[2], e = d[3] - d[1];
  t[3] = c + 2.0f * e;
  t[4] = c - 2.0f * e;
  t[5] = 4.0f * d[1] + (d[5] - 5.0f * d[3]);
}

INLINE void from_products(const Vector (&m)[6], Vector (&y)[4]) {
  const Vector a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4];
  y[0] = m[0] + a + c;
  y[1] = b + 2.0f * d;
  y[2] = a + 4.0f * c;
  y[3] = m[5] + b + 8.0f * d;
}

// scratch[product][tile][channel] of the tiles from pixel x on; Pairs take half of their places.
template <int Channels, bool Pairs>
void tiles_in(const BodyRows& rows, int x, int tiles, float* scratch) {
  for (int n = 0; n < Channels; n += kLanes) {
    Vector columns[6][6];  // [row's product][column]
    auto column = [&](int at, int pixel) __attribute__((always_inline)) {
      Vector d[6], t[6];
      UNROLL for (int i = 0; i < 6; i++) d[i] = load(rows.in[i] + long(pixel) * Channels + n);
      to_products(d, t);
      UNROLL for (int i = 0; i < 6; i++) columns[i][at] = t[i];
    };
    column(4, x);
    column(5, x + 1);
    for (int tile = 0; tile < tiles; tile++) {
      UNROLL for (int i = 0; i < 6; i++) {
        columns[i][0] = columns[i][4];
        columns[i][1] = columns[i][5];
      }
      UNROLL for (int j = 2; j < 6; j++) column(j, x + 4 * tile + j);
      UNROLL for (int i = 0; i < 6; i++) {
        Vector t[6];
        to_products(columns[i], t);
        UNROLL for (int j = 0; j < 6; j++) {
          float* out = scratch + ((6 * i + j) * kMaxTiles + tile) * Channels;
          put<Pairs>(out + (Pairs ? n / 2 : n), t[j]);
        }
      }
    }
  }
}

template <int Channels, bool Adds>
void tiles_out(const BodyRows& rows, const BodyWeights& weights, int x, int tiles,
               const float* scratch) {
  for (int n = 0; n < Channels; n += kLanes) {
    const Vector bias = load(weights.bias + n), slope = load(weights.slope + n) - 1.0f;
    for (int tile = 0; tile < tiles; tile++) {
      const float* in = scratch + tile * Channels + n;
      Vector halves[6][4];
      UNROLL for (int j = 0; j < 6; j++) {
        Vector m[6], y[4];
        UNROLL for (int i = 0; i < 6; i++) m[i] = load(in + (6 * i + j) * kMaxTiles * Channels);
        from_products(m, y);
        UNROLL for (int i = 0; i < 4; i++) halves[j][i] = y[i];
      }
      UNROLL for (int i = 0; i < 4; i++) {
        Vector m[6], y[4];
        UNROLL for (int j = 0; j < 6; j++) m[j] = halves[j][i];
        from_products(m, y);
        const long at = long(x + 4 * tile) * Channels + n;
        UNROLL for (int j = 0; j < 4; j++) {
          Vector t = y[j] + bias;
          t += negative(t) * slope;
          if (Adds) t += load(rows.add[i] + at + j * Channels);
          store(rows.out[i] + at + j * Channels, t);
        }
      }
    }
  }
}

// `in`, P tiles of one product, times that product's kernel, in place.
template <int Channels, int P, bool Pairs>
INLINE void tiles_times(float* in, const float* kernel, float* spare) {
  using B = Block<Channels>;
  float* out = B::kOutputs < Channels ? spare : in;
  for (int o = 0; o < Channels; o += B::kOutputs) {
    Vector sums[P][B::N] = {};
#if defined(__AVX512BF16__)
    if constexpr (Pairs) {
      accumulate_pairs<P, B::N, Channels>(sums, in, kernel + o, Channels, Channels / 2);
    }
#endif
    if constexpr (!Pairs) {
      accumulate<P, B::N, Channels>(sums, in, kernel + o, Channels, Channels);
    }
    UNROLL for (int i = 0; i < P; i++) {
      UNROLL for (int n = 0; n < B::N; n++) store(out + i * Channels + o + n * kLanes, sums[i][n]);
    }
  }
  // Outputs that are made in parts must not overwrite the inputs of the next part.
  for (int i = 0; out != in && i < P * Channels; i++) in[i] = out[i];
}

// Product by product, so that its kernel is read once for all tiles.
template <int Channels, bool Pairs>
void tiles_product(const BodyWeights& weights, float* scratch, int tiles) {
  constexpr int P = Block<Channels>::P, kSmall = P / 3;
  float* spare = scratch + kProducts * kMaxTiles * Channels;
  for (int p = 0; p < kProducts; p++) {
    const float* kernel = weights.kernel + p * Channels * Channels / (Pairs ? 2 : 1);
    float* in = scratch + p * kMaxTiles * Channels;
    int tile = 0;
    for (; tile + P - kSmall < tiles; tile += P) {
      tiles_times<Channels, P, Pairs>(in + tile * Channels, kernel, spare);
    }
    for (; tile + kSmall < tiles && tiles <= tile + P / 2; tile += P / 2) {
      tiles_times<Channels, P / 2, Pairs>(in + tile * Channels, kernel, spare);
    }
    for (; tile < tiles; tile += kSmall) {
      tiles_times<Channels, kSmall, Pairs>(in + tile * Channels, kernel, spare);
    }
  }
}

template <int Channels, bool Pairs>
void winograd(const BodyRows& rows, const BodyWeights& weights, float* scratch) {
  for (int x = 0; x < rows.width; x += 4 * kMaxTiles) {
    const int left = (rows.width - x + 3) / 4, tiles = left < kMaxTiles ? left : kMaxTiles;
    tiles_in<Channels, Pairs>(rows, x, tiles, scratch);
    tiles_product<Channels, Pairs>(weights, scratch, tiles);
    if (rows.add[0]) {
      tiles_out<Channels, true>(rows, weights, x, tiles, scratch);
    } else {
      tiles_out<Channels, false>(rows, weights, x, tiles, scratch);
    }
  }
}

}  // namespace
}  // namespace leansr::ISA
