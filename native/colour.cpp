#include "colour.h"

#include <algorithm>
#include <cstring>

namespace leansr {
namespace {

constexpr int kReach = 2;  // LR pixels around one that the cubic kernel reads

// Outside of a picture its edge pixels come first: ... 1 0 | 0 1 ... n - 1 | n - 1 ...
int mirrored(int at, int side) {
  const int folded = (at % (2 * side) + 2 * side) % (2 * side);
  return folded < side ? folded : 2 * side - 1 - folded;
}

}  // namespace

size_t Picture::pixel_bytes() const {
  return (colours == kRgb ? 3 : 1) * (depth == kU8 ? 1 : depth == kU16 ? 2 : sizeof(float));
}

void Colour::resize(int widest) {
  long_ = widest + 2 * kReach + kPad;
  wide_ = long(widest + kPad) * scale_;
  pixels_.resize(3 * long_);
  red_.resize(long_);
  blue_.resize(long_);
  lines_.resize(kKept * (long_ + 2 * wide_));
  sr_.resize(4 / scale_ * wide_);
  joined_.resize(3 * wide_);
}

void Colour::luma(const Picture& picture, int row, int from, int to, float* out) {
  picture_ = picture;
  split(row, from, to, out, 0);
}

void Colour::begin(const Picture& picture, int top, int left, int width) {
  picture_ = picture;
  left_ = left;
  width_ = width;
  made_ = std::max(0, top - kReach);
}

const float* Colour::luma(int row) {
  while (made_ < std::min(row + kReach + 1, picture_.height)) make(made_++);
  return line(row) + kReach;
}

// The pixels are copied, so that kernels may read past a row's end.
void Colour::split(int row, int from, int to, float* luma, int at) {
  const size_t bytes = picture_.pixel_bytes();
  const char* pixels = static_cast<const char*>(picture_.lr) + row * picture_.lr_pitch;
  std::memcpy(pixels_.data(), pixels + from * bytes, (to - from) * bytes);
  kernels_.split[picture_.depth][picture_.colours](
      {pixels_.data(), luma, red_.data() + at, blue_.data() + at, to - from});
}

void Colour::make(int row) {
  const int start = left_ - kReach, stop = left_ + width_ + kReach;
  const int from = std::max(0, start), to = std::min(picture_.width, stop);
  split(row, from, to, line(row) + from - start, from - start);
  if (picture_.colours != kRgb) return;
  float* enlarged = line(row) + long_;
  for (float* chroma : {red_.data(), blue_.data()}) {
    const auto mirror = [&](int x) {
      chroma[x - start] = chroma[mirrored(x, picture_.width) - start];
    };
    for (int x = start; x < from; x++) mirror(x);
    for (int x = to; x < stop; x++) mirror(x);
    kernels_.widen[scale_ == 4](chroma, enlarged, width_);
    enlarged += wide_;
  }
}

void Colour::put(int row, int phase) {
  const size_t bytes = picture_.pixel_bytes() * scale_;
  for (int i = 0; i < 4 / scale_; i++, phase++) {
    Join to{sr_.data() + i * wide_, {}, {}, kCubic[scale_ == 4][phase], joined_.data(),
            width_ * scale_};
    const int first = row - (phase < scale_ / 2 ? 2 : 1);
    for (int tap = 0; tap < 4; tap++) {
      to.red[tap] = line(mirrored(first + tap, picture_.height)) + long_;
      to.blue[tap] = to.red[tap] + wide_;
    }
    kernels_.join[picture_.depth][picture_.colours](to);
    const long offset = (long(row) * scale_ + phase) * picture_.sr_pitch + left_ * long(bytes);
    std::memcpy(static_cast<char*>(picture_.sr) + offset, joined_.data(), width_ * bytes);
  }
}

}  // namespace leansr
