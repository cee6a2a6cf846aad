// A few threads that wait for work: spinning briefly, then asleep.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace leansr {

class Pool {
 public:
  // The caller of `run` is one of the `threads`; of the others those that the system starts.
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // With the caller.
  int size() const { return int(threads_.size()) + 1; }

  // Calls `work(i)`, which may not throw, once for every i below `items`, and returns when all are
  // done.
  void run(int items, const std::function<void(int)>& work);

 private:
  void wait_for_work();
  void take();

  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  const std::function<void(int)>* work_ = nullptr;
  int items_ = 0;
  std::atomic<int> next_{0}, busy_{0};
  std::atomic<unsigned> round_{0};
  std::atomic<bool> stops_{false};
};

}  // namespace leansr
