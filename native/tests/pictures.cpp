// Random pictures through every kernel, against the engine's luma and plain loops around it.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
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
int leansr_picture(void*, int, int, const void*, int, int, long long, void*, long long);
}

void make_whole(const leansr::Shape& shape, float* at, std::mt19937& random);

namespace {

constexpr double kWhite[] = {255, 65535, 1};
constexpr int kBytes[] = {1, 2, 4};

// Rows any distance apart; the array ends where the last row does.
struct Pixels {
  Pixels(int depth, int channels, int height, int width, int gap)
      : depth(depth), channels(channels), height(height), width(width),
        pitch(width * channels * kBytes[depth] + gap),
        bytes(new char[size_t(pitch) * height - gap]) {}

  void* at(int y, int x, int c) const {
    return bytes.get() + long(pitch) * y + (x * channels + c) * kBytes[depth];
  }

  double get(int y, int x, int c) const {
    uint8_t small;
    uint16_t large;
    float real;
    if (depth == 0) return std::memcpy(&small, at(y, x, c), 1), small / kWhite[0];
    if (depth == 1) return std::memcpy(&large, at(y, x, c), 2), large / kWhite[1];
    return std::memcpy(&real, at(y, x, c), 4), real;
  }

  void set(int y, int x, int c, double value) {
    const auto small = uint8_t(value * kWhite[0] + 0.5);
    const auto large = uint16_t(value * kWhite[1] + 0.5);
    const auto real = float(value);
    if (depth == 0) std::memcpy(at(y, x, c), &small, 1);
    if (depth == 1) std::memcpy(at(y, x, c), &large, 2);
    if (depth == 2) std::memcpy(at(y, x, c), &real, 4);
  }

  int depth, channels, height, width, pitch;
  std::unique_ptr<char[]> bytes;
};

double cubic(double x) {
  x = std::fabs(x);
  if (x <= 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

int mirrored(int at, int side) {
  while (at < 0 || at >= side) at = at < 0 ? -1 - at : 2 * side - 1 - at;
  return at;
}

// What pixel (y, x) of `lr`, enlarged, has besides what its grey is.
void chroma(const Pixels& lr, int scale, int y, int x, double (&out)[3]) {
  const double down = (y + 0.5) / scale - 0.5, across = (x + 0.5) / scale - 0.5;
  std::fill(out, out + 3, 0);
  for (int i = int(std::floor(down)) - 1; i < std::floor(down) + 3; i++) {
    for (int j = int(std::floor(across)) - 1; j < std::floor(across) + 3; j++) {
      for (int c = 0; c < 3; c++) {
        out[c] += cubic(down - i) * cubic(across - j) *
                  lr.get(mirrored(i, lr.height), mirrored(j, lr.width), c);
      }
    }
  }
  const double grey = (65.481 * out[0] + 128.553 * out[1] + 24.966 * out[2]) / 219;
  for (double& value : out) value -= grey;
}

int pick(std::mt19937& random, int low, int high) {
  return std::uniform_int_distribution<int>(low, high)(random);
}

// A random picture, and its luma.
struct Example {
  Pixels lr;
  std::vector<float> luma{};
};

Example example(std::mt19937& random) {
  const int depth = pick(random, 0, 2), channels = 1 + 2 * pick(random, 0, 1);
  const int height = pick(random, 1, 14);
  const int width = pick(random, 0, 1) ? pick(random, 1, 12) : pick(random, 40, 130);
  Example made{{depth, channels, height, width, pick(random, 0, 1) * pick(random, 1, 9)}};
  const bool is_saturated = pick(random, 0, 1);
  std::uniform_real_distribution<double> unit(0, 1);
  for (int y = 0; y < height; y++) {
    for (int x = 0; x < width; x++) {
      for (int c = 0; c < channels; c++) {
        made.lr.set(y, x, c, is_saturated ? pick(random, 0, 1) : unit(random));
      }
      const auto at = [&](int c) { return made.lr.get(y, x, channels == 1 ? 0 : c); };
      made.luma.push_back(
          float((16 + 65.481 * at(0) + 128.553 * at(1) + 24.966 * at(2)) / 255));
    }
  }
  return made;
}

// Whether a session makes of a picture what it makes of its luma, and bicubic chroma, to `bound`.
bool makes(void* session, const Example& from, int scale, int gap, double bound) {
  const Pixels& lr = from.lr;
  std::vector<float> made(from.luma.size() * scale * scale);
  Pixels sr(lr.depth, lr.channels, lr.height * scale, lr.width * scale, gap);
  if (!leansr_run(session, from.luma.data(), lr.height, lr.width, lr.width, made.data(),
                  sr.width) ||
      !leansr_picture(session, lr.depth, lr.channels, lr.bytes.get(), lr.height, lr.width,
                      lr.pitch, sr.bytes.get(), sr.pitch)) {
    return std::puts("no memory"), false;
  }
  for (int i = 0; i < sr.height * sr.width; i++) {
    const int y = i / sr.width, x = i % sr.width;
    double colour[3] = {};
    if (lr.channels == 3) chroma(lr, scale, y, x, colour);
    for (int c = 0; c < lr.channels; c++) {
      const double wanted = std::clamp((255 * made[i] - 16) / 219 + colour[c], 0.0, 1.0);
      const double rounding = lr.depth == 2 ? 0 : 0.5 / kWhite[lr.depth];
      if (!(std::fabs(sr.get(y, x, c) - wanted) < rounding + bound)) {
        std::printf("x%d depth %d, %d x %d: %g, not %g at (%d, %d, %d)\n", scale, lr.depth,
                    lr.width, lr.height, sr.get(y, x, c), wanted, y, x, c);
        return false;
      }
    }
  }
  return true;
}

}  // namespace

// Whether a random network makes random pictures as it should, one after another, by every method
// and in every kind of pixels.
bool makes_pictures(std::mt19937& random) {
  const leansr::Shape shape{16, pick(random, 1, 3), 2 * pick(random, 1, 2),
                            pick(random, 0, 1) == 1};
  std::normal_distribution<float> normal(0, 1 / std::sqrt(9.0f * shape.channels));
  std::vector<float> tensors(leansr::tensor_floats(shape, leansr::kDirect));
  for (float& value : tensors) value = normal(random);
  std::vector<float> whole(leansr::tensor_floats(shape, leansr::kInt8));
  make_whole(shape, whole.data(), random);
  const Example examples[] = {example(random), example(random)};
  for (const leansr::Kernels* kernels : leansr::available_kernels()) {
    for (int method = 0; method < leansr::kMethods; method++) {
      if (!leansr_has(kernels->name, method)) continue;
      const std::vector<float>& values = method == leansr::kInt8 ? whole : tensors;
      void* session = leansr_create(16, shape.blocks, shape.scale, shape.input_residual,
                                    values.data(), values.size(), kernels->name, method,
                                    pick(random, 1, 3), pick(random, 0, 1));
      if (!session) return std::puts("no session"), false;
      // Luma that is rounded otherwise may become another number of eight bits.
      const bool is_coarse = method == leansr::kBf16 || method == leansr::kInt8;
      for (const Example& from : examples) {
        const int gap = pick(random, 0, 1) * pick(random, 1, 9);
        if (!makes(session, from, shape.scale, gap, is_coarse ? 0.05 : 2e-5)) {
          return std::printf("by %s method %d\n", kernels->name, method), false;
        }
      }
      leansr_destroy(session);
    }
  }
  return true;
}
