// The layers of eight bits, whose sums are exact. Part of kernels.cpp.
//
// 3 x 3 layers are Winograd's as in floats: kernels times 24^2 are whole numbers, and with them
// F(4 x 4) needs 16 bits for what is multiplied and 32 for the sums of 16 channels. That takes half
// as many instructions, which multiply pairs of 16 bits, as quads of 8 bits would take directly.
#pragma once

#include "lanes.h"

#if defined(__AVX512VNNI__)
namespace leansr::ISA {
namespace {

// Whole numbers that wrap, and half as long ones.
typedef unsigned Words __attribute__((vector_size(64), may_alias));
typedef short Halves __attribute__((vector_size(64), may_alias));
typedef int Pair __attribute__((aligned(2), may_alias));

INLINE __m512i whole(const float* at) { return _mm512_loadu_si512(at); }

// The sums of each lane += its weights for two inputs, which lie at `in`.
INLINE void multiply_add_halves(__m512i& sums, __m512i weights, const void* in) {
  const Pair& pair = *static_cast<const Pair*>(in);
  FROM_MEMORY("vpdpwssd", sums, weights, pair,
              _mm512_dpwssd_epi32(sums, weights, _mm512_set1_epi32(pair)));
}

// What lies in the place of one float, in all lanes.
INLINE __m512i spread_whole(const float* at) { return (__m512i)_mm512_set1_ps(*at); }

// Four pixels' values, in levels, as bytes: lane k of 128 bits has channels 4 k to 4 k + 3.
template <bool IsSigned>
INLINE __m512i bytes(const Vector (&values)[4], __m512i zero) {
  __m512i q[4];
  UNROLL for (int i = 0; i < 4; i++) q[i] = _mm512_cvtps_epi32((__m512)values[i]);
  const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), zero);
  const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(q[2], q[3]), zero);
  return IsSigned ? _mm512_packs_epi16(low, high) : _mm512_packus_epi16(low, high);
}

// The four pixels one after another.
INLINE void store_pixels(float* at, __m512i packed) {
  const __m512i from =
      _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  _mm512_storeu_si512(at, _mm512_permutexvar_epi32(from, packed));
}

// Their channels in quads, one in each plane.
INLINE void store_planes(float* at, size_t plane, __m512i packed) {
  _mm_storeu_si128((__m128i*)at, _mm512_castsi512_si128(packed));
  _mm_storeu_si128((__m128i*)(at + plane), _mm512_extracti32x4_epi32(packed, 1));
  _mm_storeu_si128((__m128i*)(at + 2 * plane), _mm512_extracti32x4_epi32(packed, 2));
  _mm_storeu_si128((__m128i*)(at + 3 * plane), _mm512_extracti32x4_epi32(packed, 3));
}

// Luma, 0.5 taken off, to numbers of 16 bits, which may come over it.
void to_halves(const float* luma, float* out, int count) {
  for (int x = 0; x < count; x += 32) {
    const Vector low = load(luma + x) * kLumaUnit, high = load(luma + x + 16) * kLumaUnit;
    const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    const __m512i packed =
        _mm512_packs_epi32(_mm512_cvtps_epi32((__m512)low), _mm512_cvtps_epi32((__m512)high));
    _mm512_storeu_si512(out + x / 2, _mm512_permutexvar_epi64(order, packed));
  }
}

// The first layer from such luma, to floats and to the levels that the next layer reads.
template <int P>
INLINE void first_pixels(const FirstRow& row, const BodyWeights& weights, int x) {
  __m512i sums[P] = {};
  for (int dy = 0; dy < 5; dy++) {
    const short* in = (const short*)row.in[dy] + x;
    UNROLL for (int pair = 0; pair < 3; pair++) {
      const __m512i w = whole(weights.kernel + (3 * dy + pair) * 16);
      UNROLL for (int i = 0; i < P; i++) multiply_add_halves(sums[i], w, in + i + 2 * pair);
    }
  }
  const Vector scale = load(weights.scale), bias = load(weights.bias);
  const Vector per_unit = splat(weights.grid.levels_per_unit);
  const __m512i zero = _mm512_set1_epi16(short(weights.grid.zero));
  UNROLL for (int i = 0; i < P; i += 4) {
    Vector values[4];
    UNROLL for (int k = 0; k < 4; k++) {
      values[k] = (Vector)_mm512_cvtepi32_ps(sums[i + k]) * scale + bias;
      store(row.out + long(x + i + k) * 16, values[k]);
      values[k] *= per_unit;
    }
    store_pixels(row.levels + long(x + i) * 4, bytes<true>(values, zero));
  }
}

void first_of_halves(const FirstRow& row, const BodyWeights& weights) {
  for (int x = 0; x < row.width; x += 24) first_pixels<24>(row, weights, x);
}

// `to_products` of body.h on 32 numbers of 16 bits.
INLINE void to_whole_products(const Halves (&d)[6], Halves (&t)[6]) {
  const Halves a = d[4] - (d[2] << 2), b = d[3] - (d[1] << 2), c = d[4] - d[2], e = d[3] - d[1];
  t[0] = ((d[0] - d[2]) << 2) + c;
  t[1] = a + b;
  t[2] = a - b;
  t[3] = c + (e + e);
  t[4] = c - (e + e);
  t[5] = (d[5] - d[3]) - (e << 2);
}

// 24 times `from_products` of body.h, of what network.cpp's kernels give, but for factors of 1, 2,
// 4 and 4, which are left to the scale. Sums may wrap: what they end in does fit.
INLINE void from_whole_products(const Words (&m)[6], Words (&y)[4]) {
  const Words a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4];
  y[0] = (m[0] + c) + (a << 2);
  y[1] = (b + b) + d;
  y[2] = a + c;
  y[3] = (m[5] + b) + (d + d);
}

// A tile of the left half of a run, and the one as far into the right half, are transformed side by
// side; so they lie in scratch.
INLINE int tile_at(int slot, int tiles) { return slot / 2 + slot % 2 * (tiles / 2); }

// Inputs lie in the upper half of a product's place in scratch, as its sums, which are twice as
// long, come over it from below.
constexpr int kWholeProduct = kMaxTiles * 16, kWholeInputs = kWholeProduct / 2;

void whole_tiles_in(const BodyRows& rows, int x, int tiles, float* scratch) {
  Halves columns[6][6];  // [row's product][column]
  auto column = [&](int at, int pixel) __attribute__((always_inline)) {
    Halves d[6], t[6];
    UNROLL for (int i = 0; i < 6; i++) {
      const float* in = rows.in[i] + long(pixel) * 4;
      const __m256i left = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i*)in));
      const __m128i right = _mm_loadu_si128((const __m128i*)(in + long(tiles) * 8));
      d[i] = (Halves)_mm512_cvtepi8_epi16(_mm256_inserti128_si256(left, right, 1));
    }
    to_whole_products(d, t);
    UNROLL for (int i = 0; i < 6; i++) columns[i][at] = t[i];
  };
  column(4, x);
  column(5, x + 1);
  for (int tile = 0; tile < tiles / 2; tile++) {
    UNROLL for (int i = 0; i < 6; i++) {
      columns[i][0] = columns[i][4];
      columns[i][1] = columns[i][5];
    }
    UNROLL for (int j = 2; j < 6; j++) column(j, x + 4 * tile + j);
    UNROLL for (int i = 0; i < 6; i++) {
      Halves t[6];
      to_whole_products(columns[i], t);
      UNROLL for (int j = 0; j < 6; j++) {
        _mm512_store_si512(scratch + (6 * i + j) * kWholeProduct + kWholeInputs + tile * 16,
                           (__m512i)t[j]);
      }
    }
  }
}

template <int P>
INLINE void whole_tiles_times(const float* in, const float* kernel, float* out) {
  __m512i sums[P] = {};
#pragma GCC unroll 8
  for (int c = 0; c < 8; c++) {
    const __m512i w = whole(kernel + c * 16);
    UNROLL for (int i = 0; i < P; i++) {
      multiply_add_halves(sums[i], w, in + i * 8 + c);
    }
  }
  UNROLL for (int i = 0; i < P; i++) _mm512_store_si512(out + i * 16, sums[i]);
}

void whole_tiles_product(const BodyWeights& weights, float* scratch, int tiles) {
  for (int p = 0; p < kProducts; p++) {
    const float* kernel = weights.kernel + p * 128;
    float* out = scratch + p * kWholeProduct;
    const float* in = out + kWholeInputs;
    if (tiles > 16) {
      whole_tiles_times<24>(in, kernel, out);
    } else {
      for (int tile = 0; tile < tiles; tile += 8) {
        whole_tiles_times<8>(in + tile * 8, kernel, out + tile * 16);
      }
    }
  }
}

// To the levels that the next layer reads: of the deepest one, in planes.
template <bool IsDeepest>
void whole_tiles_out(const BodyRows& rows, const BodyWeights& weights, int x, int tiles,
                     const float* scratch) {
  constexpr int kTwos[4] = {0, 1, 2, 2};  // what `from_whole_products` leaves out
  const Vector bias = load(weights.bias), slope = load(weights.slope) - 1.0f;
  const Vector per_unit = splat(weights.grid.levels_per_unit);
  const __m512i zero = _mm512_set1_epi16(short(weights.grid.zero));
  for (int slot = 0; slot < tiles; slot++) {
    Words halves[6][4];
    UNROLL for (int j = 0; j < 6; j++) {
      Words m[6], y[4];
      UNROLL for (int i = 0; i < 6; i++) {
        m[i] = (Words)whole(scratch + (6 * i + j) * kWholeProduct + slot * 16);
      }
      from_whole_products(m, y);
      UNROLL for (int i = 0; i < 4; i++) halves[j][i] = y[i];
    }
    const long pixel = x + 4 * tile_at(slot, tiles);
    UNROLL for (int i = 0; i < 4; i++) {
      Words m[6], y[4];
      UNROLL for (int j = 0; j < 6; j++) m[j] = halves[j][i];
      from_whole_products(m, y);
      Vector values[4];
      UNROLL for (int j = 0; j < 4; j++) {
        const Vector scale = load(weights.scale + (kTwos[i] + kTwos[j]) * 16);
        Vector t = (Vector)_mm512_cvtepi32_ps((__m512i)y[j]) * scale + bias;
        t += negative(t) * slope;
        if (IsDeepest) t += load(rows.add[i] + (pixel + j) * 16) * per_unit;
        values[j] = t;
      }
      if (IsDeepest) {
        store_planes(rows.out[i] + pixel, rows.plane, bytes<false>(values, zero));
      } else {
        store_pixels(rows.out[i] + pixel * 4, bytes<true>(values, zero));
      }
    }
  }
}

void whole_winograd(const BodyRows& rows, const BodyWeights& weights, float* scratch) {
  for (int x = 0; x < rows.width; x += 4 * kMaxTiles) {
    const int left = (rows.width - x + 7) / 8 * 2, tiles = left < kMaxTiles ? left : kMaxTiles;
    whole_tiles_in(rows, x, tiles, scratch);
    whole_tiles_product(weights, scratch, tiles);
    if (rows.add[0]) {
      whole_tiles_out<true>(rows, weights, x, tiles, scratch);
    } else {
      whole_tiles_out<false>(rows, weights, x, tiles, scratch);
    }
  }
}

// `last_pixels` of ends.h, from quads of channels.
template <int Q>
INLINE void last_quads(const LastRow& row, int x) {
  __m512i sums[4][Q] = {};
  const float* weights = row.kernel;
  for (int dy = 0; dy < 5; dy++) {
    for (int c = 0; c < 4; c++) {
      const float* in = row.in[dy] + c * row.plane + x;
      UNROLL for (int dx = 0; dx < 5; dx++) {
        __m512i pixels[Q];
        UNROLL for (int q = 0; q < Q; q++) pixels[q] = whole(in + dx + q * 16);
        UNROLL for (int o = 0; o < 4; o++) {
          const __m512i w = spread_whole(weights + 4 * dx + o);
          UNROLL for (int q = 0; q < Q; q++) {
            sums[o][q] = _mm512_dpbusd_epi32(sums[o][q], pixels[q], w);
          }
        }
      }
      weights += 20;
    }
  }
  const int pitch = (row.width + 15) / 16 * 16;
  UNROLL for (int o = 0; o < 4; o++) {
    UNROLL for (int q = 0; q < Q; q++) {
      const Vector sum = (Vector)_mm512_cvtepi32_ps(sums[o][q]);
      store(row.out + o * pitch + x + q * 16, sum * row.scale[o] + row.bias[o]);
    }
  }
}

void last_of_levels(const LastRow& row) {
  int x = 0;
  for (; x + 80 < row.width; x += 96) last_quads<6>(row, x);
  for (; x + 32 < row.width; x += 48) last_quads<3>(row, x);
  for (; x < row.width; x += 16) last_quads<1>(row, x);
}

}  // namespace
}  // namespace leansr::ISA
#endif
