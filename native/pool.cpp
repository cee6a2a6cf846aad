#include "pool.h"

namespace leansr {
namespace {

constexpr int kSpins = 20000;  // tens of microseconds, beyond which a neighbour wants the core

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

}  // namespace

Pool::Pool(int threads) {
  for (int i = 1; i < threads; i++) threads_.emplace_back([this] { wait_for_work(); });
}

Pool::~Pool() {
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Pool::run(int items, const std::function<void(int)>& work) {
  if (threads_.empty() || items == 1) {
    for (int i = 0; i < items; i++) work(i);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    work_ = &work;
    items_ = items;
    next_ = 0;
    busy_ = int(threads_.size());
    round_++;
  }
  wake_.notify_all();
  take();
  for (int spins = 0; busy_ > 0; spins++) spins < kSpins ? relax() : std::this_thread::yield();
}

void Pool::take() {
  for (int i = next_++; i < items_; i = next_++) (*work_)(i);
}

void Pool::wait_for_work() {
  unsigned seen = 0;
  for (;;) {
    for (int spins = 0; round_ == seen && !stops_ && spins < kSpins; spins++) relax();
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return round_ != seen || stops_; });
      if (stops_) return;
      seen = round_;
    }
    take();
    busy_--;
  }
}

}  // namespace leansr
