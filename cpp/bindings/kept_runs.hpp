#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

#include "matfac/operations.hpp"

namespace matfac::bindings {

/// The runs of ratings whose gradients are asked for again: made the second time, so that a single question costs
/// nothing more. Who comes while they are made, or has no memory for them, goes without, which gives the same bits;
/// nobody waits, so that a child forked meanwhile does not wait for ever.
class KeptRuns {
 public:
  const ItemRuns* get(const PatternView& pattern, int n_threads) {
    if (const ItemRuns* const runs = made_.load(std::memory_order_acquire)) {
      return runs->matches(pattern) ? runs : nullptr;  // the offsets may be a caller's array too
    }
    const std::unique_lock lock(making_, std::try_to_lock);
    if (!lock.owns_lock() || !std::exchange(asked_, true)) return nullptr;
    if (runs_ == nullptr) {
      try {
        runs_ = std::make_unique<const ItemRuns>(pattern, n_threads);
      } catch (const std::bad_alloc&) {
        return nullptr;
      }
      made_.store(runs_.get(), std::memory_order_release);
    }
    return runs_.get();
  }

 private:
  std::atomic<const ItemRuns*> made_{nullptr};
  std::mutex making_;
  bool asked_ = false;
  std::unique_ptr<const ItemRuns> runs_;
};

}  // namespace matfac::bindings
