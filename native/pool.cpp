#include "pool.h"

#include <chrono>
#include <exception>

namespace leansr {
namespace {

using Clock = std::chrono::steady_clock;

// About what it takes to wake a thread; beyond it a neighbour wants the core.
constexpr std::chrono::microseconds kAwake(40);

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Until it is over, or has taken too long to be awake for.
template <class IsOver>
void spin(IsOver is_over) {
  const Clock::time_point end = Clock::now() + kAwake;
  while (!is_over() && Clock::now() < end) relax();
}

}  // namespace

Pool::Pool(int threads) {
  try {
    for (int i = 1; i < threads; i++) threads_.emplace_back([this] { wait_for_work(); });
  } catch (const std::exception&) {
    // A limit of the system's; those that did start take all of the work.
  }
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
  const auto is_over = [&] { return busy_ == 0; };
  spin(is_over);
  std::unique_lock lock(mutex_);
  done_.wait(lock, is_over);
}

void Pool::take() {
  for (int i = next_++; i < items_; i = next_++) (*work_)(i);
}

void Pool::wait_for_work() {
  unsigned seen = 0;
  for (;;) {
    const auto is_over = [&] { return round_ != seen || stops_; };
    spin(is_over);
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, is_over);
      if (stops_) return;
      seen = round_;
    }
    take();
    const std::lock_guard lock(mutex_);
    if (--busy_ == 0) done_.notify_one();
  }
}

}  // namespace leansr
