// A band of a picture's rows through the whole network, strip by strip.
#pragma once

#include <vector>

#include "colour.h"

namespace leansr {

// What a thread works in: for every layer the few lines of its output that are still to be read.
//
// Layer 0 is the first convolution, then come the blocks, and the last convolution is not kept.
// A strip of layer k ends k columns left of the strip of layer 0, since that is where its inputs
// end; the columns that the next strip needs again are kept beside it, so none is computed twice.
class Band {
 public:
  // Strips are as wide as fits `cache` bytes.
  Band(const Network& network, const Kernels& kernels, size_t cache);

  // Makes rows [top, bottom), in LR pixels, of the picture; `top` is a multiple of kMaxGroup.
  void run(const Picture& picture, int top, int bottom);

 private:
  // The last lines of a layer's output. A line is one part of pixels, or a part for each channel.
  struct Ring {
    int rows, carry, parts, unit;  // unit: floats of a part per column
    int outside = 0;               // every byte of what is outside of the picture
    long span = 0;                 // floats of a part
    Floats lines{}, saved{}, nothing{};  // nothing: a line outside of the picture

    long pitch() const { return span * parts; }
    // Rows may begin in a group above the picture.
    float* line(int row) { return lines.data() + (row + rows) % rows * pitch(); }
  };

  int shift(int layer) const { return layer > blocks_ ? blocks_ + 2 : layer; }
  void reach(int top, int bottom);
  void place(int from, int to);
  void begin(Ring& ring, int layer, int row);
  void end(Ring& ring, int layer, int row);
  void need(int layer, int until);
  float* centred(int row);
  void centre(int row);
  void first();
  void body(int layer);
  void last(int row);
  const float* input(int layer, int row, int end);

  const Network& network_;
  const Kernels& kernels_;
  const Layers& layers_;
  const int channels_, blocks_, kind_, group_;
  const bool is_whole_;  // of eight bits
  int strip_, widest_;
  std::vector<Ring> rings_;
  // The first layer's output as the long residual adds it: floats in any method.
  Ring& shallow() { return rings_[is_whole_ ? blocks_ + 1 : 0]; }
  std::vector<int> tops_, bottoms_, lefts_, rights_, done_;  // rows and columns by layer
  Floats scratch_, made_, centred_, quads_;
  Picture picture_{};
  int read_ = 0;  // rows of the picture that `centred_` has had
  Colour colour_;
};

}  // namespace leansr
