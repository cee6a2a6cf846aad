// The pixels of a picture as luma for the network, and its luma as pixels: a strip of a band.
#pragma once

#include "network.h"

namespace leansr {

struct Picture {
  const void* lr;
  void* sr;                      // scale times as large
  ptrdiff_t lr_pitch, sr_pitch;  // bytes from a row to the next
  int height, width;
  Depth depth;
  int channels;  // 1 or 3, or 0 for luma as the network has it, of kF32

  bool is_luma() const { return channels == 0; }
  long pixel_bytes() const;
};

// Chroma goes up by MATLAB's bicubic: along the row as soon as a line is read, down the column when
// it is written. So a few lines of it are all that is kept.
class Colour {
 public:
  Colour(const Kernels& kernels, int scale) : kernels_(kernels), scale_(scale) {}

  // For strips of up to `widest` LR columns.
  void resize(int widest);

  // The strip that columns [left, left + width), and rows from `top` on, are made of.
  void begin(const Picture& picture, int top, int left, int width);

  // Luma of columns [from, to) of any row; up to 15 floats more are overwritten.
  void read(int row, int from, int to, float* luma);

  // Luma of the strip's part of a row. Rows are asked for from the top down, each before its `put`.
  const float* luma(int row);
  // SR luma of the 4 / scale rows that begin `phase` rows below the first of LR row `row` is to be
  // written here, `sr_pitch` floats apart; `put` then makes them.
  float* sr(int row, int phase);
  long sr_pitch() const;
  void put(int row, int phase);

 private:
  // A line of LR luma from column left - 2 on, and of red and blue above it, enlarged.
  float* line(int row) { return lines_.data() + row % kKept * (long_ + 2 * wide_); }
  const char* source(int row, int column) const;
  char* target(int row, int phase) const;
  void split(int row, int from, int to, float* luma, int at);
  void make(int row);

  static constexpr int kKept = 5;  // rows that the taps of an LR row's SR rows reach

  const Kernels& kernels_;
  const int scale_;
  long long_ = 0, wide_ = 0;  // floats of a line of LR and of SR
  Floats pixels_, red_, blue_, lines_, sr_, joined_;
  Picture picture_{};
  int left_ = 0, width_ = 0, made_ = 0;
};

}  // namespace leansr
