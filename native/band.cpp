#include "band.h"

#include <algorithm>
#include <cstring>

namespace leansr {
namespace {

constexpr int kFirstGroup = 4;   // rows that the first layer makes at a time
constexpr int kFirstLines = kFirstGroup + 4;  // of luma that it reads for them
constexpr int kStripStep = 48;   // columns: 12 tiles, which fill the kernels' blocks

int rounded_up(int value, int step) { return (value + step - 1) / step * step; }

}  // namespace

Band::Band(const Network& network, const Kernels& kernels, size_t cache)
    : network_(network),
      kernels_(kernels),
      layers_(kernels.layers[network.method]),
      channels_(network.shape.channels),
      blocks_(network.shape.blocks),
      kind_(channels_ == 32),
      group_(network.method == kDirect ? 1 : 4),
      is_whole_(network.method == kInt8),
      colour_(kernels, network.shape.scale) {
  // Kept are the lines from the lowest that a reader still needs to the last that the layer may be
  // ahead, as it makes whole groups.
  const int ahead = std::max(blocks_, 1) * group_ + kFirstGroup;  // of the long residual's reader
  const Ring shallow{std::max(ahead, group_ + kFirstGroup + 1), std::max(2, blocks_), 1, channels_};
  const int pixel = is_whole_ ? channels_ / 4 : channels_;
  rings_.push_back(is_whole_ ? Ring{group_ + kFirstGroup + 1, 2, 1, pixel} : shallow);
  for (int layer = 1; layer < blocks_; layer++) rings_.push_back({2 * group_ + 1, 2, 1, pixel});
  rings_.push_back({group_ + 4, 4, channels_ / network.last_per_float, 1});
  for (int layer = 0; layer <= blocks_; layer++) rings_[layer].outside = network.outside(layer);
  if (is_whole_) rings_.push_back(shallow);
  size_t column = group_ * channels_;
  for (const Ring& ring : rings_) column += size_t(ring.rows) * ring.parts * ring.unit;
  const int narrowest = rounded_up(shift(blocks_ + 1) + rings_[0].carry + 4, kStripStep);
  const int fitting = int(cache / (column * sizeof(float))) / kStripStep * kStripStep;
  strip_ = std::max(fitting, narrowest);
  widest_ = strip_ + shift(blocks_ + 1);
  for (Ring& ring : rings_) {
    ring.span = long(ring.carry + widest_ + kPad) * ring.unit;
    ring.lines.resize(ring.rows * ring.pitch());
    ring.nothing.resize(ring.pitch());
    std::memset(ring.nothing.data(), ring.outside, ring.pitch() * sizeof(float));
  }
  scratch_.resize(scratch_floats(channels_));
  made_.resize(long(group_) * (widest_ + kPad) * channels_);
  centred_.resize(kFirstLines * (widest_ + kPad + 4));
  quads_.resize(4 * rounded_up(widest_, 16));
  colour_.resize(widest_);
  for (auto* by_layer : {&tops_, &bottoms_, &lefts_, &rights_, &done_}) {
    by_layer->resize(blocks_ + 2);
  }
}

void Band::run(const Picture& picture, int top, int bottom) {
  picture_ = picture;
  reach(top, bottom);
  if (picture.width > strip_) {
    for (size_t i = 0; i < rings_.size(); i++) {
      Ring& ring = rings_[i];
      const int layer = int(i) <= blocks_ ? int(i) : 0;
      const size_t rows = bottoms_[layer] - tops_[layer];
      ring.saved.resize(rows * ring.carry * ring.parts * ring.unit);
    }
  }
  for (int from = 0; from < picture.width; from += strip_) {
    place(from, from + strip_);
    for (int row = top; row < bottom; row++) last(row);
  }
}

// The rows of every layer that a band is made of.
//
// A group of rows is rounded as one. So that a picture does not depend on its bands, groups begin
// at the same rows in all of them and are whole, though a band may not need all of their rows. A
// layer's groups begin a row above those of its reader: then none is in vain at a band's top.
void Band::reach(int top, int bottom) {
  const int height = picture_.height;
  tops_[blocks_ + 1] = top;
  bottoms_[blocks_ + 1] = bottom;
  for (int layer = blocks_; layer >= 0; layer--) {
    const int radius = shift(layer + 1) - shift(layer), group = layer > 0 ? group_ : 1;
    const int first = top - (shift(blocks_ + 1) - shift(layer));
    const int needed = bottoms_[layer + 1] + radius - first;
    bottoms_[layer] = std::min(height, first + rounded_up(needed, group));
    // Groups above the picture are not made.
    tops_[layer] = first + std::max(0, -first / group * group);
  }
}

void Band::place(int from, int to) {
  for (int layer = 0; layer <= blocks_ + 1; layer++) {
    lefts_[layer] = std::max(0, from - shift(layer));
    rights_[layer] = to < picture_.width ? to - shift(layer) : picture_.width;
    done_[layer] = tops_[layer];
  }
  read_ = tops_[0] - 2;
  const int last = blocks_ + 1;
  colour_.begin(picture_, tops_[last], lefts_[last], rights_[last] - lefts_[last]);
}

// What lies left of the strip: the end of the strip before, or what is outside of the picture.
void Band::begin(Ring& ring, int layer, int row) {
  const size_t floats = size_t(ring.carry) * ring.unit;
  const float* saved = ring.saved.data() + (row - tops_[layer]) * floats * ring.parts;
  for (int part = 0; part < ring.parts; part++) {
    float* line = ring.line(row) + part * ring.span;
    if (lefts_[layer] == 0) {
      std::memset(line, ring.outside, floats * sizeof(float));
    } else {
      std::memcpy(line, saved + part * floats, floats * sizeof(float));
    }
  }
}

// What is outside of the picture right of the strip, where the kernels have written more than its width.
void Band::end(Ring& ring, int layer, int row) {
  const long width = rights_[layer] - lefts_[layer];
  const size_t floats = size_t(ring.carry) * ring.unit;
  float* saved = ring.saved.data() + (row - tops_[layer]) * floats * ring.parts;
  for (int part = 0; part < ring.parts; part++) {
    float* line = ring.line(row) + part * ring.span;
    float* after = line + (ring.carry + width) * ring.unit;
    std::memset(after, ring.outside, 8 * ring.unit * sizeof(float));
    if (rights_[layer] < picture_.width) {
      std::memcpy(saved + part * floats, line + width * ring.unit, floats * sizeof(float));
    }
  }
}

void Band::need(int layer, int until) {
  until = std::min(until, bottoms_[layer]);
  while (done_[layer] < until) layer == 0 ? first() : body(layer);
}

float* Band::centred(int row) {
  return centred_.data() + (row + kFirstLines) % kFirstLines * (widest_ + kPad + 4);
}

// A line of luma less 0.5, from two columns left of the first layer's strip; zeros outside of the
// picture.
void Band::centre(int row) {
  const int from = lefts_[0] - 2, left = std::max(0, from);
  const int right = std::min(picture_.width, rights_[0] + 2);
  float *line = centred(row), *luma = line + left - from;
  const bool is_inside = row >= 0 && row < picture_.height;
  if (is_inside) {
    colour_.read(row, left, right, luma);
    for (int x = 0; x < right - left; x++) luma[x] -= 0.5f;
  }
  std::fill(line, luma, 0.0f);
  const int pitch = widest_ + kPad + 4;
  std::fill(is_inside ? luma + (right - left) : luma, line + pitch, 0.0f);
  if (is_whole_) kernels_.to_halves(line, line, pitch / 32 * 32);
}

void Band::first() {
  const int row = done_[0], left = lefts_[0], width = rights_[0] - left;
  const int rows = std::min(kFirstGroup, bottoms_[0] - row);
  for (; read_ < row + rows + 2; read_++) centre(read_);
  for (int i = 0; i < rows; i++) {
    Ring& ring = shallow();
    begin(ring, 0, row + i);
    FirstRow lines{{}, ring.line(row + i) + ring.carry * channels_, width, nullptr};
    for (int dy = 0; dy < 5; dy++) lines.in[dy] = centred(row + i + dy - 2);
    if (is_whole_) {
      Ring& whole = rings_[0];
      begin(whole, 0, row + i);
      lines.levels = whole.line(row + i) + whole.carry * whole.unit;
      kernels_.first_of_halves(lines, network_.first());
      end(whole, 0, row + i);
    } else {
      kernels_.first[kind_](lines, network_.first_kernel.data(), network_.first_bias.data());
    }
    end(ring, 0, row + i);
  }
  done_[0] += rows;
}

// The line of what `layer` makes, from the column on that its reader starts at; `nothing` outside
// of the picture and from row `end` on.
const float* Band::input(int layer, int row, int end) {
  Ring& ring = rings_[layer];
  if (row < 0 || row >= std::min(end, picture_.height)) return ring.nothing.data();
  const int radius = shift(layer + 1) - shift(layer);
  const int from = lefts_[layer + 1] - radius - lefts_[layer] + ring.carry;
  return ring.line(row) + from * ring.unit;
}

void Band::body(int layer) {
  const int row = done_[layer], rows = std::min(group_, bottoms_[layer] - row);
  need(layer - 1, row + rows + 1);
  BodyRows lines{};
  lines.width = rights_[layer] - lefts_[layer];
  for (int i = 0; i < group_ + 2; i++) lines.in[i] = input(layer - 1, row - 1 + i, row + rows + 1);
  const bool is_deepest = layer == blocks_;
  Ring& ring = rings_[layer];
  lines.plane = ring.span;
  for (int i = 0; i < group_; i++) {
    lines.out[i] = made_.data() + long(i) * (widest_ + kPad) * channels_;
    if (is_deepest) {
      const int from = shallow().carry + lefts_[layer] - lefts_[0];
      const Floats& none = shallow().nothing;
      lines.add[i] = i < rows ? shallow().line(row + i) + from * channels_ : none.data();
    }
    if (i < rows && (is_whole_ || !is_deepest)) {
      begin(ring, layer, row + i);
      lines.out[i] = ring.line(row + i) + ring.carry * ring.unit;
    }
  }
  layers_.body[kind_](lines, network_.body(layer - 1), scratch_.data());
  for (int i = 0; i < rows; i++) {
    if (is_deepest && !is_whole_) {
      begin(ring, layer, row + i);
      layers_.planes[kind_](lines.out[i], ring.line(row + i) + ring.carry, ring.span, lines.width);
    }
    end(ring, layer, row + i);
  }
  done_[layer] += rows;
}

void Band::last(int row) {
  need(blocks_, row + 3);
  const int width = rights_[blocks_ + 1] - lefts_[blocks_ + 1], scale = network_.shape.scale;
  LastRow lines{{}, size_t(rings_[blocks_].span), nullptr, nullptr, quads_.data(), width, nullptr};
  for (int dy = 0; dy < 5; dy++) lines.in[dy] = input(blocks_, row - 2 + dy, row + 3);
  Spread to{quads_.data(), rounded_up(width, 16), width, nullptr, nullptr, colour_.sr_pitch()};
  // Also where it is not added, as chroma is read with it.
  const float* luma = colour_.luma(row);
  if (network_.shape.input_residual) to.lr = luma;
  for (int part = 0; part < scale * scale / 4; part++) {
    lines.kernel = network_.last(part);
    lines.bias = network_.last_bias.data() + 4 * part;
    lines.scale = is_whole_ ? network_.last_scale.data() + 4 * part : nullptr;
    layers_.last[kind_](lines);
    to.sr = colour_.sr(row, part);
    kernels_.spread[scale == 4](to);
    colour_.put(row, part);
  }
}

}  // namespace leansr
