// The table of kernels: one row per instruction set, filled by kernels.cpp.
//
// Features are rows of pixels, `channels` floats a pixel (16 or 32). The last layer reads planes
// instead: a row of floats for each channel, or of pairs of bfloat16 for every two. Of eight bits,
// four channels lie where a float would, in pixels and in planes.
#pragma once

#include <cstddef>

namespace leansr {

constexpr int kPad = 32;        // pixels that kernels may read or write right of a row's end
constexpr int kMaxTiles = 24;   // tiles of 4 x 4 that the Winograd kernel works on at a time
constexpr int kProducts = 36;   // products of a tile
constexpr int kMaxGroup = 4;    // rows that a kernel makes at a time, at most

// kInt8: what luma of 1 is as a number of 16 bits.
constexpr float kLumaUnit = 32767;

// What one call of a 3 x 3 kernel reads and writes: `group` rows of `width` pixels.
struct BodyRows {
  const float* in[kMaxGroup + 2];  // pixel -1 of the row above the first, and so on
  float* out[kMaxGroup];           // pixel 0; up to kPad pixels past `width` are overwritten
  const float* add[kMaxGroup];     // what is added after the activation, or null
  int width;
  size_t plane;                    // kInt8's deepest layer writes planes, so many floats apart
};

// Eight bits: a value is a whole number of levels, and `zero` of them are none.
struct Grid {
  float levels_per_unit;
  int zero;
};

struct BodyWeights {
  const float* kernel;  // [tap or product][input][output]
  const float* bias;
  const float* slope;  // of the activation below zero; all 0 is ReLU
  const float* scale;  // kInt8: [power of 2][output], from sums to levels
  Grid grid;           // kInt8: of what comes out
};

struct FirstRow {
  const float* in[5];  // pixel -2 of the five rows, 0.5 taken off
  float* out;
  int width;
  float* levels;       // kInt8: the same once more, as the next layer reads it
};

struct LastRow {
  const float* in[5];  // pixel -2 of the first plane of the five rows
  size_t plane;        // floats from a plane to the next
  const float* kernel;  // [row][channel or pair][column][output of 4]
  const float* bias;    // of 4
  float* out;           // [4][width rounded up to 16]
  int width;
  const float* scale;   // kInt8: of 4, from sums to floats
};

// Floats of scratch that a kernel of so many channels needs.
constexpr size_t scratch_floats(int channels) {
  return size_t(kProducts + 1) * kMaxTiles * channels;
}

// Four outputs of pixels to where they lie in the picture.
struct Spread {
  const float* quads;  // [4][pitch]
  int pitch, width;
  const float* lr;  // what is added to all outputs of a pixel, or null
  float* sr;        // the first row, at the first pixel
  long sr_pitch;
};

// What the samples of a picture are.
enum Depth { kU8, kU16, kF32, kDepths };

// Pixels of a row to luma, and to what red and blue lie above grey. All are read and written as far
// as `width` rounded up to 16.
struct Split {
  const void* pixels;
  float *luma, *red, *blue;  // the latter two of RGB alone
  int width;
};

// The cubic kernel of Keys (1981), a = -0.5: weights of four pixels, by [scale == 4] and by the
// place of an SR pixel in its LR pixel. The first of them is two pixels before the LR pixel, or one
// for the places of its second half.
constexpr float kCubic[2][4][4] = {
    {{-3 / 128.f, 29 / 128.f, 111 / 128.f, -9 / 128.f},
     {-9 / 128.f, 111 / 128.f, 29 / 128.f, -3 / 128.f}},
    {{-45 / 1024.f, 399 / 1024.f, 745 / 1024.f, -75 / 1024.f},
     {-7 / 1024.f, 93 / 1024.f, 987 / 1024.f, -49 / 1024.f},
     {-49 / 1024.f, 987 / 1024.f, 93 / 1024.f, -7 / 1024.f},
     {-75 / 1024.f, 745 / 1024.f, 399 / 1024.f, -45 / 1024.f}},
};

// A row of SR luma, and of chroma the four rows that are mixed, to pixels. All are read and written
// as far as `width` rounded up to 64.
struct Join {
  const float* luma;
  const float *red[4], *blue[4];
  const float* taps;
  void* pixels;
  int width;
};

using BodyKernel = void (*)(const BodyRows&, const BodyWeights&, float* scratch);

// How the body and the last layer are computed.
enum Method {
  kDirect,    // as they are written
  kWinograd,  // 3 x 3 by F(4 x 4, 3 x 3), four rows at a time
  kBf16,      // the same with products of bfloat16; two channels lie where a float would
  kInt8,      // the integer releases, their whole numbers exact; of 16 channels alone
  kMethods,
};

// Of 16 and of 32 channels; nulls where there are none.
struct Layers {
  BodyKernel body[2];
  void (*planes[2])(const float* row, float* planes, size_t plane, int width);  // null in kInt8
  void (*last[2])(const LastRow&);
};

struct Kernels {
  const char* name;
  void (*first[2])(const FirstRow&, const float* kernel, const float* bias);
  void (*spread[2])(const Spread&);  // to 2 rows of 2 a pixel (x2), to a row of 4 (x4)
  Layers layers[kMethods];           // nulls where this instruction set has none
  // kInt8, else null: luma as the first layer reads it, and that layer.
  void (*to_halves)(const float* luma, float* out, int count);
  void (*first_of_halves)(const FirstRow&, const BodyWeights&);
  void (*split[kDepths][2])(const Split&);  // of grey, of RGB
  void (*widen[2])(const float* in, float* out, int width);  // x2, x4; `in` is pixel -2
  void (*join[kDepths][2])(const Join&);
  double (*peak)(long rounds);       // runs multiply-adds in registers; returns how many
};

}  // namespace leansr
