// Random networks and pictures through every kernel, against plain loops: for the sanitizers.
//
//   driver [rounds] [seed]
//
// The arrays are exactly as large as the engine may touch, so that one float too far is seen.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "../dispatch.h"
#include "../network.h"

extern "C" {
void* leansr_create(int, int, int, int, const float*, size_t, const char*, int, int, size_t);
void leansr_destroy(void*);
int leansr_has(const char*, int);
int leansr_run(void*, const float*, int, int, long long, float*, long long);
}

bool makes_pictures(std::mt19937& random);

namespace {

using leansr::Shape;
using Values = std::vector<float>;

struct Maps {
  int channels, height, width;
  std::vector<double> values{};

  double at(int c, int y, int x) const {
    if (y < 0 || y >= height || x < 0 || x >= width) return 0;
    return values[(size_t(c) * height + y) * width + x];
  }
};

Maps convolution(const Maps& in, int outputs, int side, const float* weight, const float* bias) {
  Maps out{outputs, in.height, in.width};
  for (int o = 0; o < outputs; o++) {
    for (int y = 0; y < in.height; y++) {
      for (int x = 0; x < in.width; x++) {
        double sum = bias[o];
        for (int c = 0; c < in.channels; c++) {
          for (int tap = 0; tap < side * side; tap++) {
            sum += weight[(o * in.channels + c) * side * side + tap] *
                   in.at(c, y + tap / side - side / 2, x + tap % side - side / 2);
          }
        }
        out.values.push_back(sum);
      }
    }
  }
  return out;
}

// x on a grid, as bytes without a sign have it.
Maps on_grid(Maps maps, const float* grid) {
  for (double& value : maps.values) {
    const double level = std::nearbyint(value / grid[0]) + grid[1];
    value = (std::fmin(std::fmax(level, 0), 255) - grid[1]) * grid[0];
  }
  return maps;
}

// Weights from levels and their scale, which lies behind them.
Values in_floats(const float* levels, int outputs, int inputs) {
  Values weights(levels, levels + outputs * inputs);
  for (int i = 0; i < outputs * inputs; i++) weights[i] *= levels[outputs * inputs + i / inputs];
  return weights;
}

// Where two steps of 2 put output `o` of a pixel.
void place(int scale, int o, int& row, int& column) {
  row = column = 0;
  for (int step = 1, left = scale * scale; left > 1; step *= 2) {
    // The first step moves a pixel by half of the block, and takes the lowest digit of `o`.
    row += o % 4 / 2 * (scale / 2 / step);
    column += o % 2 * (scale / 2 / step);
    o /= 4;
    left /= 4;
  }
}

Values plain(const Shape& shape, const float* tensors, bool is_whole, const Values& lr, int height,
             int width) {
  const int f = shape.channels, outputs = shape.scale * shape.scale;
  Maps in{1, height, width};
  for (float value : lr) in.values.push_back(value - 0.5f);
  const auto layer = [&](const Maps& maps, int outs, int side) {
    const int inputs = maps.channels * side * side;
    const Values scaled = is_whole ? in_floats(tensors, outs, inputs) : Values{};
    const float* weight = is_whole ? scaled.data() : tensors;
    tensors += outs * inputs + (is_whole ? outs : 0);
    const float* bias = tensors;
    tensors += outs;
    return convolution(maps, outs, side, weight, bias);
  };
  const Maps shallow = layer(in, f, 5);
  const float* grid = tensors;
  if (is_whole) tensors += 2 * (shape.blocks + 1);
  Maps deep = shallow;
  for (int block = 0; block < shape.blocks; block++, grid += 2) {
    deep = layer(is_whole ? on_grid(deep, grid) : deep, f, 3);
    for (size_t i = 0; i < deep.values.size(); i++) {
      double& value = deep.values[i];
      if (value < 0) value *= tensors[i / (size_t(height) * width)];
    }
    tensors += f;
  }
  for (size_t i = 0; i < deep.values.size(); i++) deep.values[i] += shallow.values[i];
  const Maps made = layer(is_whole ? on_grid(deep, grid) : deep, outputs, 5);
  Values sr(size_t(outputs) * height * width);
  for (int o = 0; o < outputs; o++) {
    int row, column;
    place(shape.scale, o, row, column);
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        const double residual = shape.input_residual ? lr[y * width + x] : 0;
        sr[(size_t(y) * shape.scale + row) * width * shape.scale + x * shape.scale + column] =
            float(made.at(o, y, x) + residual);
      }
    }
  }
  return sr;
}

}  // namespace

// Levels, scales, biases and grids that keep features where levels are.
void make_whole(const leansr::Shape& shape, float* at, std::mt19937& random) {
  const auto levels = [&](int count) {
    for (int i = 0; i < count; i++) *at++ = float(int(random() % 256) - 128);
  };
  const auto fill = [&](int count, float value) { at = std::fill_n(at, count, value); };
  const int f = shape.channels, outputs = shape.scale * shape.scale;
  levels(25 * f);
  fill(f, 1 / 512.0f);
  fill(f, 0.01f);
  for (int i = 0; i <= shape.blocks; i++) {
    fill(1, 1 / 200.0f);
    fill(1, float(random() % 256));
  }
  for (int block = 0; block < shape.blocks; block++) {
    levels(9 * f * f);
    fill(f, 1 / 1024.0f);
    fill(f, -0.01f);
    fill(f, 0.2f);
  }
  levels(25 * f * outputs);
  fill(outputs, 1 / 4096.0f);
  fill(outputs, 0.01f);
}

int main(int count, char** arguments) {
  const int rounds = count > 1 ? std::atoi(arguments[1]) : 20;
  std::mt19937 random(count > 2 ? std::atoi(arguments[2]) : 0);
  const auto pick = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  double worst = 0;
  for (int round = 0; round < rounds; round++) {
    if (!makes_pictures(random)) return 1;
    const Shape shape{16 * pick(1, 2), pick(1, 4), 2 * pick(1, 2), pick(0, 1) == 1};
    const int height = pick(1, 20), width = round % 2 ? pick(1, 20) : pick(40, 130);
    std::normal_distribution<float> normal(0, 1 / std::sqrt(9.0f * shape.channels));
    // Exactly as many as are needed, on the heap.
    const size_t floats = leansr::tensor_floats(shape, leansr::kDirect);
    const size_t wholes = leansr::tensor_floats(shape, leansr::kInt8);
    const std::unique_ptr<float[]> tensors(new float[floats]), whole(new float[wholes]);
    for (size_t i = 0; i < floats; i++) tensors[i] = normal(random);
    make_whole(shape, whole.get(), random);
    Values lr(size_t(height) * width);
    for (float& value : lr) value = std::uniform_real_distribution<float>(0, 1)(random);
    const Values in_floats = plain(shape, tensors.get(), false, lr, height, width);
    const Values in_levels = plain(shape, whole.get(), true, lr, height, width);
    for (const leansr::Kernels* kernels : leansr::available_kernels()) {
      for (int method = 0; method < leansr::kMethods; method++) {
        const bool is_whole = method == leansr::kInt8;
        if (!leansr_has(kernels->name, method) || (is_whole && shape.channels != 16)) continue;
        const Values& expected = is_whole ? in_levels : in_floats;
        void* session =
            leansr_create(shape.channels, shape.blocks, shape.scale, shape.input_residual,
                          is_whole ? whole.get() : tensors.get(), is_whole ? wholes : floats,
                          kernels->name, method, pick(1, 3), pick(0, 1));
        if (!session) return std::puts("no session"), 1;
        Values sr(expected.size(), NAN);
        if (!leansr_run(session, lr.data(), height, width, width, sr.data(),
                        (long long)width * shape.scale)) {
          return std::puts("no memory"), 1;
        }
        leansr_destroy(session);
        // Levels are the neighbour's where sums are between two of them.
        const double bound = method == leansr::kBf16 ? 0.1 : is_whole ? 0.02 : 1e-4;
        for (size_t i = 0; i < sr.size(); i++) {
          const double error = std::fabs(sr[i] - expected[i]);
          if (bound < 1e-3) worst = std::fmax(worst, error);
          if (!(error < bound)) {
            std::printf("%s method %d f %d m %d x%d, %d x %d: %g at %zu\n", kernels->name, method,
                        shape.channels, shape.blocks, shape.scale, width, height, error, i);
            return 1;
          }
        }
      }
    }
  }
  std::printf("%d rounds, floats at most %.1e apart\n", rounds, worst);
}
