#pragma once

#include <atomic>
#include <exception>
#include <limits>
#include <mutex>

#include "matfac/types.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

/// The only place that starts threads. A body may run on any thread and in any order, so whatever it writes must depend
/// on its index alone: that is how results stay the same at any number of threads.
namespace matfac {

/// The number of threads to use for a request of `n_threads`. 0 means all: as many as OMP_NUM_THREADS says, else the
/// processors that this process may use, by its affinity and its container's limit. Negative requests are refused. In a
/// child forked from a process that has run a parallel region it is 1: the threads of the parent's team do not exist
/// there, and starting another team would wait for them forever.
int resolve_threads(int n_threads);

namespace detail {

/// Remembers that OpenMP has been used (and, once, asks to be told of forks).
void note_parallel_region();

/// Keeps the exception of the lowest index, so that the error reported does not depend on timing more than it must.
class FirstException {
 public:
  void capture(Index index) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (index < index_) {
      index_ = index;
      exception_ = std::current_exception();
    }
    raised_.store(true, std::memory_order_relaxed);
  }
  bool raised() const noexcept { return raised_.load(std::memory_order_relaxed); }
  void rethrow() const {
    if (exception_) std::rethrow_exception(exception_);
  }

 private:
  std::mutex mutex_;
  std::atomic<bool> raised_{false};
  Index index_ = std::numeric_limits<Index>::max();
  std::exception_ptr exception_;
};

}  // namespace detail

/// Runs `body(thread)` once on each of at most `n_threads` threads (already resolved); the team may be smaller.
/// The body must not throw.
template <class Body>
void parallel_region(int n_threads, const Body& body) {
#ifdef _OPENMP
  if (n_threads > 1) {
    detail::note_parallel_region();
#pragma omp parallel num_threads(n_threads)
    body(omp_get_thread_num());
    return;
  }
#endif
  body(0);
}

/// Runs `body(index, thread)` for every index in [0, n); threads take the next index as they become free.
/// `thread` is below the resolved number of threads and serves to pick a workspace. The first exception is passed on.
template <class Body>
void parallel_for(Index n, int n_threads, const Body& body) {
  if (n <= 0) return;
  const int wanted = resolve_threads(n_threads);
  std::atomic<Index> next{0};
  detail::FirstException error;
  parallel_region(n < wanted ? static_cast<int>(n) : wanted, [&](int thread) {
    for (Index i = next++; i < n && !error.raised(); i = next++) {
      try {
        body(i, thread);
      } catch (...) {
        error.capture(i);
      }
    }
  });
  error.rethrow();
}

/// Runs `body(begin, end, thread)` over [0, n) in chunks of `chunk`.
template <class Body>
void parallel_chunks(Index n, Index chunk, int n_threads, const Body& body) {
  parallel_for((n + chunk - 1) / chunk, n_threads, [&](Index i, int thread) {
    const Index begin = i * chunk;
    body(begin, begin + chunk < n ? begin + chunk : n, thread);
  });
}

}  // namespace matfac
