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

// The same times 24, but for factors of 6, -4, 1 and 4 that int8.h has in its sums: whole numbers.
constexpr int kWholePoints[6][3] = {{6, 0, 0}, {-1, -1, -1}, {-1, 1, -1},
                                    {1, 2, 4}, {1, -2, 4},   {0, 0, 6}};
constexpr double kWholeFactor = 24 * 24;

// Value `p` of those that a kernel of 3 x 3 taps is multiplied by: a tap, or one of the 36.
double value_at(const float* taps, Method method, int p) {
  if (method == kDirect) return taps[p];
  double sum = 0;
  for (int tap = 0; tap < 9; tap++) {
    const int y = tap / 3, x = tap % 3;
    sum += taps[tap] * (method == kInt8 ? kWholePoints[p / 6][y] * kWholePoints[p % 6][x]
                                        : kPoints[p / 6][y] * kPoints[p % 6][x]);
  }
  return sum;
}

// Rounded to nearest, ties to even.
uint32_t bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

// `count` values where one float would lie, the first in the lowest bits.
template <class Value>
float joined(Method method, int count, Value value) {
  if (count == 1) return float(value(0));
  uint32_t bits = 0;
  for (int i = 0; i < count; i++) {
    const uint32_t whole = method == kInt8 ? int(value(i)) : bf16(float(value(i)));
    bits |= (whole & ~0u >> (32 - 32 / count)) << i * 32 / count;
  }
  return std::bit_cast<float>(bits);
}

double sum_of(const float* values, int count) {
  double sum = 0;
  for (int i = 0; i < count; i++) sum += values[i];
  return sum;
}

// Which of the network's outputs lies at (row, column) of a pixel's block: at x4 the blocks come
// of two steps of 2.
int output_at(int scale, int row, int column) {
  if (scale == 2) return 2 * row + column;
  return 4 * (2 * (row % 2) + column % 2) + 2 * (row / 2) + column / 2;
}

}  // namespace

size_t tensor_floats(const Shape& shape, Method method) {
  const size_t f = shape.channels, outputs = shape.scale * shape.scale;
  const size_t floats = 25 * f + f + shape.blocks * (9 * f * f + 2 * f) + outputs * (25 * f + 1);
  return floats + (method == kInt8 ? f + shape.blocks * (f + 2) + 2 + outputs : 0);
}

Network::Network(const Shape& shape, const float* tensors, Method method)
    : shape(shape), method(method), last_per_float(method == kInt8 ? 4 : method == kBf16 ? 2 : 1) {
  const int f = shape.channels;
  if (method == kInt8) {
    put_halves(tensors);
  } else {
    first_kernel.resize(25 * f);
    for (int i = 0; i < 25 * f; i++) first_kernel[i % 25 * f + i / 25] = tensors[i];
  }
  tensors += (method == kInt8 ? 26 : 25) * f;
  first_bias.assign(tensors, tensors + f);
  tensors += f;
  const float* read = tensors;  // kInt8: the grid that the next layer's inputs are on
  if (method == kInt8) {
    for (int i = 0; i <= shape.blocks; i++, tensors += 2) {
      // Features are bytes with a sign, but for those that the last layer reads.
      grids.push_back({1 / tensors[0], int(tensors[1]) - (i < shape.blocks ? 128 : 0)});
    }
  }
  for (int block = 0; block < shape.blocks; block++, read += 2) tensors = put_body(tensors, read);
  put_last(tensors, read);
}

// Rows of five taps are three pairs, the last of one tap.
void Network::put_halves(const float* kernel) {
  const int f = shape.channels;
  for (int pair = 0; pair < 15; pair++) {
    for (int out = 0; out < f; out++) {
      first_kernel.push_back(joined(kInt8, 2, [&](int i) {
        const int dx = pair % 3 * 2 + i;
        return dx < 5 ? kernel[out * 25 + pair / 3 * 5 + dx] : 0.0f;
      }));
    }
  }
  for (int o = 0; o < f; o++) first_scale.push_back(kernel[25 * f + o] / kLumaUnit);
}

const float* Network::put_body(const float* tensors, const float* read) {
  const int f = shape.channels, per_float = last_per_float == 1 ? 1 : 2;
  const float* kernel = tensors;
  for (int p = 0; p < (method == kDirect ? 9 : kProducts); p++) {
    for (int in = 0; in < f; in += per_float) {
      for (int out = 0; out < f; out++) {
        body_kernels.push_back(joined(method, per_float, [&](int i) {
          return value_at(kernel + (out * f + in + i) * 9, method, p);
        }));
      }
    }
  }
  tensors += 9 * f * f;
  if (method == kInt8) {
    const double next = read[2];
    for (int power = 0; power < 5; power++) {
      for (int o = 0; o < f; o++) {
        scales.push_back(float(tensors[o] * double(read[0]) / next * (1 << power) / kWholeFactor));
      }
    }
    for (int o = 0; o < f; o++) {
      // Bytes with a sign are 128 less than the levels of the file.
      const double zeros = (128 - read[1]) * sum_of(kernel + o * 9 * f, 9 * f);
      biases.push_back(float((tensors[f + o] + tensors[o] * double(read[0]) * zeros) / next));
    }
    tensors += f;
  } else {
    biases.insert(biases.end(), tensors, tensors + f);
  }
  slopes.insert(slopes.end(), tensors + f, tensors + 2 * f);
  return tensors + 2 * f;
}

void Network::put_last(const float* tensors, const float* read) {
  const int f = shape.channels, outputs = shape.scale * shape.scale;
  const float* bias = tensors + size_t(outputs) * f * 25 + (method == kInt8 ? outputs : 0);
  for (int part = 0; part < outputs; part += 4) {
    const auto out = [&](int o) {
      return output_at(shape.scale, o / shape.scale, o % shape.scale);
    };
    for (int dy = 0; dy < 5; dy++) {
      for (int in = 0; in < f; in += last_per_float) {
        for (int tap = 5 * dy; tap < 5 * dy + 5; tap++) {
          for (int o = part; o < part + 4; o++) {
            last_kernel.push_back(joined(method, last_per_float, [&](int i) {
              return tensors[(out(o) * f + in + i) * 25 + tap];
            }));
          }
        }
      }
    }
    for (int o = part; o < part + 4; o++) {
      double zeros = 0;
      if (method == kInt8) {
        last_scale.push_back(bias[out(o) - outputs] * read[0]);
        zeros = double(last_scale.back()) * read[1] * sum_of(tensors + out(o) * f * 25, f * 25);
      }
      last_bias.push_back(float(bias[out(o)] - zeros));
    }
  }
}

BodyWeights Network::body(int block) const {
  const size_t f = shape.channels, kernel = body_kernels.size() / shape.blocks;
  BodyWeights weights{body_kernels.data() + block * kernel, biases.data() + block * f,
                      slopes.data() + block * f, nullptr, {}};
  if (method == kInt8) {
    weights.scale = scales.data() + block * 5 * f;
    weights.grid = grids[block + 1];
  }
  return weights;
}

BodyWeights Network::first() const {
  return {first_kernel.data(), first_bias.data(), nullptr, first_scale.data(), grids[0]};
}

int Network::outside(int layer) const { return method == kInt8 ? grids[layer].zero & 255 : 0; }

}  // namespace leansr
