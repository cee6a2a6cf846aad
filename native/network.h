// A SESR network as the kernels want its tensors.
#pragma once

#include <new>
#include <vector>

#include "kernels.h"

namespace leansr {

// Floats that begin at a cache line, which registers of the widest kind are as long as.
template <class T>
struct FromLine {
  using value_type = T;
  T* allocate(size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t(64)));
  }
  void deallocate(T* at, size_t) { ::operator delete(at, std::align_val_t(64)); }
  bool operator==(const FromLine&) const { return true; }
};
using Floats = std::vector<float, FromLine<float>>;

struct Shape {
  int channels, blocks, scale;
  bool input_residual;
};

// How many floats the tensors of a network are, in the order of `Network`'s constructor.
size_t tensor_floats(const Shape& shape, Method method);

struct Network {
  // `tensors`: first.weight (f, 1, 5, 5) and bias, then of every block weight (f, f, 3, 3), bias
  // and slope, then last.weight (scale^2, f, 5, 5) and bias. kInt8 has weights in levels, their
  // scale by output after them, and before the blocks the grids (m + 1, 2) of what the blocks and
  // the last layer read: the value of a level, and the level of zero.
  Network(const Shape& shape, const float* tensors, Method method);

  BodyWeights body(int block) const;
  BodyWeights first() const;  // kInt8
  // Every byte of zeros as the layer after `layer` reads them.
  int outside(int layer) const;
  // The part of the last layer that makes four outputs: a block of 2 x 2 at x2, a row of it at x4.
  const float* last(int part) const {
    return last_kernel.data() + part * 100 * shape.channels / last_per_float;
  }

  Shape shape;
  Method method;
  int last_per_float;  // inputs of the last layer in the place of a float
  Floats first_kernel, first_bias, body_kernels, biases, slopes, last_kernel, last_bias;
  Floats first_scale, scales, last_scale;  // kInt8
  std::vector<Grid> grids;    // kInt8: by the layer that makes what is on it

 private:
  void put_halves(const float* kernel);
  const float* put_body(const float* tensors, const float* read);
  void put_last(const float* tensors, const float* read);
};

}  // namespace leansr
