// Registers of the instruction set ISA, and what kernels are written with. Part of kernels.cpp.
#pragma once

#include "kernels.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#if !defined(__clang__)
// GCC 12 takes its own intrinsics for uses of what was never set.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#endif

namespace leansr::ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16, kRegisters = 24;
#elif defined(__AVX__)
constexpr int kLanes = 8, kRegisters = 12;
#elif defined(__aarch64__)
constexpr int kLanes = 4, kRegisters = 24;
#else
constexpr int kLanes = 4, kRegisters = 12;
#endif

typedef float Vector __attribute__((vector_size(4 * kLanes), may_alias));
typedef float Loose __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

#define INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")
#if defined(__aarch64__)
#define KEPT "w"
#else
#define KEPT "v"
#endif

// A list of numbers, as the indices of a shuffle must be written.
template <int... K>
struct Numbers {};
template <int N, int... K>
struct Counted : Counted<N - 1, N - 1, K...> {};
template <int... K>
struct Counted<0, K...> {
  using Type = Numbers<K...>;
};
using Lanes = Counted<kLanes>::Type;

typedef int Indices __attribute__((vector_size(4 * kLanes)));
#if defined(__clang__)
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, Indices{__VA_ARGS__})
#endif

INLINE Vector load(const float* at) { return *reinterpret_cast<const Loose*>(at); }
INLINE void store(float* at, Vector v) { *reinterpret_cast<Loose*>(at) = v; }
INLINE Vector splat(float value) { return value - Vector{}; }
INLINE Vector negative(Vector v) {
#if defined(__AVX512F__)
  // GCC makes a mask and two instructions of the other form.
  return (Vector)_mm512_min_ps((__m512)v, (__m512)Vector{});
#else
  return v < 0.0f ? v : Vector{};
#endif
}

// sums[i][n] += inputs of pixel i, each times its row of weights; a pixel is `Step` floats on.
template <int P, int N, int Step>
INLINE void accumulate(Vector (&sums)[P][N], const float* in, const float* weights, int pitch,
                       int inputs) {
#pragma GCC unroll 5
  for (int c = 0; c < inputs; c++) {
    Vector w[N];
    UNROLL for (int n = 0; n < N; n++) w[n] = load(weights + c * pitch + n * kLanes);
    UNROLL for (int i = 0; i < P; i++) {
      UNROLL for (int n = 0; n < N; n++) sums[i][n] += in[i * Step + c] * w[n];
    }
  }
}

// Of instructions that GCC 12 would give what lies in memory by another one before them, which are
// 24 instead of 20 cycles a pixel. Sanitizers do not see what such a line reads.
#if defined(__clang__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FROM_MEMORY(name, sum, weights, in, other) sum = other
#else
#define FROM_MEMORY(name, sum, weights, in, other) \
  __asm__(name " %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(weights), "m"(in))
#endif

#if defined(__AVX512BF16__)
INLINE void multiply_add_pair(Vector& sum, __m512bh weights, const float& in) {
  FROM_MEMORY("vdpbf16ps", sum, weights, in,
              (Vector)_mm512_dpbf16_ps((__m512)sum, weights, (__m512bh)_mm512_set1_ps(in)));
}

// The same with inputs and weights in bfloat16, two inputs in the place of a float.
template <int P, int N, int Step>
INLINE void accumulate_pairs(Vector (&sums)[P][N], const float* in, const float* weights,
                             int pitch, int pairs) {
#pragma GCC unroll 4
  for (int c = 0; c < pairs; c++) {
    __m512bh w[N];
    UNROLL for (int n = 0; n < N; n++) w[n] = (__m512bh)load(weights + c * pitch + n * kLanes);
    UNROLL for (int i = 0; i < P; i++) {
      UNROLL for (int n = 0; n < N; n++) {
        multiply_add_pair(sums[i][n], w[n], in[i * Step + c]);
      }
    }
  }
}

INLINE void store_pairs(float* at, Vector v) {
  _mm256_storeu_si256((__m256i*)at, (__m256i)_mm512_cvtneps_pbh((__m512)v));
}
#endif

// How a kernel with `Channels` outputs is cut: N registers a pixel, P pixels.
template <int Channels>
struct Block {
  static constexpr int kWhole = Channels / kLanes;
  static constexpr int N = kWhole <= 4 ? (kWhole <= kRegisters / 6 ? kWhole : kRegisters / 6) : 4;
  static constexpr int P = kRegisters / N;
  static constexpr int kOutputs = N * kLanes;
};

template <bool Pairs>
INLINE void put(float* at, Vector v) {
#if defined(__AVX512BF16__)
  if constexpr (Pairs) return store_pairs(at, v);
#endif
  store(at, v);
}

template <bool Pairs>
INLINE void multiply_add(Vector& sum, float weight, Vector v) {
#if defined(__AVX512BF16__)
  if constexpr (Pairs) {
    const __m512bh pair = (__m512bh)_mm512_set1_ps(weight);
    sum = (Vector)_mm512_dpbf16_ps((__m512)sum, pair, (__m512bh)v);
    return;
  }
#endif
  sum += weight * v;
}

// Lane k of the mask is k, or the lane of the other vector that a transposition by S moves there.
template <int S, int... K>
INLINE void exchange(Vector& a, Vector& b, Numbers<K...>) {
  const Vector first = a;
  a = SHUFFLE(first, b, (K & S ? kLanes + (K ^ S) : K)...);
  b = SHUFFLE(first, b, (K & S ? kLanes + K : K ^ S)...);
}

// Lane j of vector i becomes lane i of vector j.
template <int S, int Rows>
INLINE void transpose(Vector (&rows)[Rows]) {
  UNROLL for (int i = 0; i < Rows; i++) {
    if (!(i & S)) exchange<S>(rows[i], rows[i | S], Lanes{});
  }
  if constexpr (2 * S < Rows) transpose<2 * S>(rows);
}

// a0 b0 a1 b1 ...: the first half of the lanes if Half is 0, the second if it is 1.
template <int Half, int... K>
INLINE Vector zipped(Vector a, Vector b, Numbers<K...>) {
  return SHUFFLE(a, b, (Half * kLanes / 2 + K / 2 + (K & 1) * kLanes)...);
}

// Lane k of every vector, one after another.
INLINE void interleave(const Vector (&v)[2], float* out) {
  store(out, zipped<0>(v[0], v[1], Lanes{}));
  store(out + kLanes, zipped<1>(v[0], v[1], Lanes{}));
}
INLINE void interleave(const Vector (&v)[4], float* out) {
  const Vector even[2] = {zipped<0>(v[0], v[2], Lanes{}), zipped<1>(v[0], v[2], Lanes{})};
  const Vector odd[2] = {zipped<0>(v[1], v[3], Lanes{}), zipped<1>(v[1], v[3], Lanes{})};
  UNROLL for (int half = 0; half < 2; half++) {
    interleave({even[half], odd[half]}, out + 2 * half * kLanes);
  }
}

}  // namespace
}  // namespace leansr::ISA
