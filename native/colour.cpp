#include "colour.h"

#include <algorithm>
#include <cstring>

namespace leansr {
namespace {

constexpr int kReach = 2;  // LR pixels around one that the cubic kernel reads

// Outside of a picture its edge pixels come first: ... 1 0 | 0 1 ... n - 1 | n - 1 n - 2 ...
int mirrored(int at, int side) {
  const int folded = (at % (2 * side) + 2 * side) % (2 * side);
  return folded < side ? folded : 2 * side - 1 - folded;
}

}  // namespace

long Picture::pixel_bytes() const {
  constexpr long kBytes[kDepths] = {1, 2, sizeof(float)};
  return std::max(channels, 1) * kBytes[depth];
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

void Colour::begin(const Picture& picture, int top, int left, int width) {
  picture_ = picture;
  left_ = left;
  width_ = width;
  made_ = std::max(0, top - kReach);
}

void Colour::read(int row, int from, int to, float* luma) {
  if (picture_.is_luma()) {
    std::memcpy(luma, source(row, from), (to - from) * sizeof(float));
  } else {
    split(row, from, to, luma, 0);
  }
}

const char* Colour::source(int row, int column) const {
  const char* pixels = static_cast<const char*>(picture_.lr);
  return pixels + row * picture_.lr_pitch + column * picture_.pixel_bytes();
}

char* Colour::target(int row, int phase) const {
  char* pixels = static_cast<char*>(picture_.sr) + (long(row) * scale_ + phase) * picture_.sr_pitch;
  return pixels + left_ * scale_ * picture_.pixel_bytes();
}

const float* Colour::luma(int row) {
  if (picture_.is_luma()) return reinterpret_cast<const float*>(source(row, left_));
  while (made_ < std::min(row + kReach + 1, picture_.height)) make(made_++);
  return line(row) + kReach;
}

// The pixels are copied, so that kernels may read past a row's end.
void Colour::split(int row, int from, int to, float* luma, int at) {
  std::memcpy(pixels_.data(), source(row, from), (to - from) * picture_.pixel_bytes());
  kernels_.split[picture_.depth][picture_.channels == 3](
      {pixels_.data(), luma, red_.data() + at, blue_.data() + at, to - from});
}

void Colour::make(int row) {
  const int start = left_ - kReach, stop = left_ + width_ + kReach;
  const int from = std::max(0, start), to = std::min(picture_.width, stop);
  split(row, from, to, line(row) + from - start, from - start);
  if (picture_.channels != 3) return;
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

float* Colour::sr(int row, int phase) {
  return picture_.is_luma() ? reinterpret_cast<float*>(target(row, phase)) : sr_.data();
}

long Colour::sr_pitch() const {
  return picture_.is_luma() ? long(picture_.sr_pitch / ptrdiff_t(sizeof(float))) : wide_;
}

void Colour::put(int row, int phase) {
  if (picture_.is_luma()) return;
  for (int i = 0; i < 4 / scale_; i++, phase++) {
    Join to{sr_.data() + i * wide_, {}, {}, kCubic[scale_ == 4][phase], joined_.data(),
            width_ * scale_};
    const int first = row - (phase < scale_ / 2 ? 2 : 1);
    for (int tap = 0; tap < 4; tap++) {
      to.red[tap] = line(mirrored(first + tap, picture_.height)) + long_;
      to.blue[tap] = to.red[tap] + wide_;
    }
    kernels_.join[picture_.depth][picture_.channels == 3](to);
    std::memcpy(target(row, phase), joined_.data(), width_ * scale_ * picture_.pixel_bytes());
  }
}

}  // namespace leansr
