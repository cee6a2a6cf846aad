// The C interface: the only door between the engine and Python (src/leansr/runtime/native_library.py).
//
// What is asked of arrays is checked on the other side; nothing is thrown through this one.
#include <algorithm>
#include <memory>
#include <new>
#include <string>

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

#include "band.h"
#include "dispatch.h"
#include "pool.h"

#if defined(_WIN32)
#define LEANSR_API extern "C" __declspec(dllexport)
#else
#define LEANSR_API extern "C" __attribute__((visibility("default")))
#endif

namespace {

using namespace leansr;

// Rows of a band at most: what strips keep beside them grows with it.
constexpr int kTallest = 1024;
// Rows of a band at least, per row of the halo, which it computes twice.
constexpr int kRowsPerHalo = 24;

// A forked process has a session's memory, and none of its threads.
long process() {
#if defined(_WIN32)
  return 0;
#else
  return getpid();
#endif
}

struct Session {
  Session(const Shape& shape, const float* tensors, const Kernels& kernels, Method method,
          int threads, size_t cache)
      : network(shape, tensors, method), kernels(kernels), cache(cache), pool(threads) {}

  // A thread that is not in the forked process may have held its locks, or a band.
  bool is_forked() const { return owner != process(); }

  std::unique_ptr<Band> take_band() {
    if (!is_forked()) {
      const std::lock_guard lock(mutex);
      if (!bands.empty()) {
        std::unique_ptr<Band> band = std::move(bands.back());
        bands.pop_back();
        return band;
      }
    }
    return std::make_unique<Band>(network, kernels, cache);
  }

  void give_back(std::unique_ptr<Band> band) {
    if (is_forked()) return;
    const std::lock_guard lock(mutex);
    try {
      bands.push_back(std::move(band));
    } catch (const std::bad_alloc&) {
      // Its picture is made; the next one takes a new band.
    }
  }

  const Network network;
  const Kernels& kernels;
  const size_t cache;
  const long owner = process();
  Pool pool;
  std::mutex running, mutex;
  std::vector<std::unique_ptr<Band>> bands;  // not in use
};

int groups_of(int height) { return (height + kMaxGroup - 1) / kMaxGroup; }

int bands_of(const Session& session, int height) {
  const int tall = (height + kTallest - 1) / kTallest;
  const int threads = session.pool.size();
  if (threads == 1) return tall;
  const int shortest = kRowsPerHalo * (session.network.shape.blocks + 4);
  const int fine = height / shortest / threads * threads;
  const int wanted = std::min(std::max(fine, threads), 4 * threads);
  return std::min(std::max(tall, wanted), groups_of(height));
}

// False if there is no memory.
bool run(Session& session, const Picture& picture) try {
  const int bands = bands_of(session, picture.height);
  const auto start = [&](int i) {
    return std::min(picture.height, int(long(groups_of(picture.height)) * i / bands) * kMaxGroup);
  };
  std::atomic<bool> is_whole{true};
  const auto work = [&](int i) {
    try {
      std::unique_ptr<Band> band = session.take_band();
      band->run(picture, start(i), start(i + 1));
      session.give_back(std::move(band));
    } catch (...) {
      is_whole = false;
    }
  };
  if (session.pool.size() == 1 || session.is_forked()) {
    for (int i = 0; i < bands; i++) work(i);
  } else {
    const std::lock_guard lock(session.running);
    session.pool.run(bands, work);
  }
  return is_whole;
} catch (...) {
  return false;
}

}  // namespace

// Of this file; native_library.py refuses a library of another one.
LEANSR_API int leansr_interface() { return 3; }

// The names of the instruction sets that this processor has, the fastest first; none if there is no
// memory.
LEANSR_API const char* leansr_isas() try {
  static const std::string names = [] {
    std::string joined;
    for (const Kernels* row : available_kernels()) {
      if (!joined.empty()) joined += ',';
      joined += row->name;
    }
    return joined;
  }();
  return names.c_str();
} catch (...) {
  return "";
}

// Whether an instruction set has kernels of a method (kernels.h).
LEANSR_API int leansr_has(const char* isa, int method) noexcept {
  const Kernels* kernels = find_kernels(isa);
  return kernels && method >= 0 && method < kMethods && kernels->layers[method].body[0];
}

// Runs multiply-adds in registers; how many, 0 for an unknown instruction set.
LEANSR_API double leansr_peak(const char* isa, long long rounds) noexcept {
  const Kernels* kernels = find_kernels(isa);
  return kernels ? kernels->peak(long(rounds)) : 0;
}

// Null if the network is none that the kernels know, or there is no memory for it. `method` is of
// kernels.h; `cache` is the bytes that a thread's lines may take, 0 for a share of this
// processor's second level.
LEANSR_API void* leansr_create(int channels, int blocks, int scale, int input_residual,
                               const float* tensors, size_t count, const char* isa, int method,
                               int threads, size_t cache) try {
  const Shape shape{channels, blocks, scale, input_residual != 0};
  const Kernels* kernels = find_kernels(isa);
  if ((channels != 16 && channels != 32) || blocks < 1 || (scale != 2 && scale != 4) ||
      threads < 1 || !kernels || method < 0 || method >= kMethods ||
      !kernels->layers[method].body[channels == 32] ||
      count != tensor_floats(shape, Method(method))) {
    return nullptr;
  }
  return new Session(shape, tensors, *kernels, Method(method), threads,
                     cache ? cache : cache_bytes());
} catch (...) {
  return nullptr;
}

LEANSR_API void leansr_destroy(void* handle) noexcept {
  auto* session = static_cast<Session*>(handle);
  // Threads that are not there cannot be waited for.
  if (!session->is_forked()) delete session;
}

// `lr`, height x width floats, to `sr`, scale times that; pitches are floats from a row to the
// next. False if there is no memory. Calls of one session from several threads wait for each other
// if it has threads of its own.
LEANSR_API int leansr_run(void* handle, const float* lr, int height, int width, long long lr_pitch,
                          float* sr, long long sr_pitch) {
  constexpr ptrdiff_t kFloat = sizeof(float);
  return run(*static_cast<Session*>(handle),
             {lr, sr, ptrdiff_t(lr_pitch) * kFloat, ptrdiff_t(sr_pitch) * kFloat, height, width,
              kF32, 0});
}

// The same for pixels, whose luma goes through the network. `depth` is of kernels.h, `channels` are
// 1 or 3, and pitches are bytes. False also for another depth or number of channels.
LEANSR_API int leansr_picture(void* handle, int depth, int channels, const void* lr, int height,
                              int width, long long lr_pitch, void* sr, long long sr_pitch) {
  if (depth < 0 || depth >= kDepths || (channels != 1 && channels != 3)) return false;
  return run(*static_cast<Session*>(handle), {lr, sr, ptrdiff_t(lr_pitch), ptrdiff_t(sr_pitch),
                                              height, width, Depth(depth), channels});
}
