#include "network.h"

#include <bit>
#include <cstdint>

namespace leansr {
namespace {

// The kernel's side of F(4 x 4, 3 x 3): G of G g G^T, for the points 0, 1, -1, 2, -2, infinity.
constexpr double kPoints[6][3] = {
    {1.0 / 4, 0, 0},           {-1.0 / 6, -1.0 / 6, -1.0 / 6}, {-1.0 / 6, 1.0 / 6, -1.0 / 6},
    {1.0 / 24, 1.0 / 12, 1.0 / 6}, {1.0 / 24, -1.0 / 12, 1.0 / 6}, {0, 0, 1},
};

// Value `p` of those that a kernel of 3 x 3 taps is multiplied by: a tap, or one of the 36.
double value_at(const float* taps, Method method, int p) {
  if (method == kDirect) return taps[p];
  double sum = 0;
  for (int tap = 0; tap < 9; tap++) {
    sum += kPoints[p / 6][tap / 3] * taps[tap] * kPoints[p % 6][tap % 3];
  }
  return sum;
}

// Rounded to nearest, ties to even.
uint32_t bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

float pair(float low, float high) {
  return std::bit_cast<float>(bf16(low) | bf16(high) << 16);
}

// Which of the network's outputs lies at (row, column) of a pixel's block: at x4 the blocks come
// of two steps of 2.
int output_at(int scale, int row, int column) {
  if (scale == 2) return 2 * row + column;
  return 4 * (2 * (row % 2) + column % 2) + 2 * (row / 2) + column / 2;
}

}  // namespace

size_t tensor_floats(const Shape& shape) {
  const size_t f = shape.channels, outputs = shape.scale * shape.scale;
  return 25 * f + f + shape.blocks * (9 * f * f + 2 * f) + outputs * (25 * f + 1);
}

Network::Network(const Shape& shape, const float* tensors, Method method)
    : shape(shape), method(method), per_float(method == kBf16 ? 2 : 1) {
  const int f = shape.channels, outputs = shape.scale * shape.scale;
  first_kernel.resize(25 * f);
  for (int i = 0; i < 25 * f; i++) first_kernel[i % 25 * f + i / 25] = tensors[i];
  tensors += 25 * f;
  first_bias.assign(tensors, tensors + f);
  tensors += f;
  for (int block = 0; block < shape.blocks; block++) {
    const auto at = [&](int p, int in, int out) {
      return float(value_at(tensors + (out * f + in) * 9, method, p));
    };
    for (int p = 0; p < (method == kDirect ? 9 : kProducts); p++) {
      for (int in = 0; in < f; in += per_float) {
        for (int out = 0; out < f; out++) {
          const float value = at(p, in, out);
          body_kernels.push_back(per_float == 1 ? value : pair(value, at(p, in + 1, out)));
        }
      }
    }
    tensors += 9 * f * f;
    biases.insert(biases.end(), tensors, tensors + f);
    slopes.insert(slopes.end(), tensors + f, tensors + 2 * f);
    tensors += 2 * f;
  }
  const float* bias = tensors + size_t(outputs) * f * 25;
  for (int part = 0; part < outputs; part += 4) {
    const auto out = [&](int o) {
      return output_at(shape.scale, o / shape.scale, o % shape.scale);
    };
    const auto at = [&](int o, int in, int tap) { return tensors[(out(o) * f + in) * 25 + tap]; };
    for (int dy = 0; dy < 5; dy++) {
      for (int in = 0; in < f; in += per_float) {
        for (int tap = 5 * dy; tap < 5 * dy + 5; tap++) {
          for (int o = part; o < part + 4; o++) {
            const float value = at(o, in, tap);
            last_kernel.push_back(per_float == 1 ? value : pair(value, at(o, in + 1, tap)));
          }
        }
      }
    }
    for (int o = part; o < part + 4; o++) last_bias.push_back(bias[out(o)]);
  }
}

BodyWeights Network::body(int block) const {
  const size_t f = shape.channels, kernel = body_kernels.size() / shape.blocks;
  return {body_kernels.data() + block * kernel, biases.data() + block * f,
          slopes.data() + block * f};
}

}  // namespace leansr
