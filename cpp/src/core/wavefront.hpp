#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include "core/parallel.hpp"

namespace matfac {

/// Runs `body(row, column, thread)` over a grid in parallel, with the result of the serial order, row by row.
///
/// A thread takes a whole row of the grid and walks its columns; it enters a column only when the row before has left
/// it. So work on the same row never meets, work on the same column happens in the order of the rows, and what belongs
/// to a row stays in the cache of one thread. Rows are taken in order: there is no deadlock at any number of threads.
/// `begin_row(row, thread)` comes before the row's columns and waits for nobody.
template <class Begin, class Body>
void run_wavefront(Index n_rows, Index n_columns, int n_threads, const Begin& begin_row, const Body& body) {
  if (n_rows <= 0 || n_columns <= 0) return;
  const auto columns_left = std::make_unique<std::atomic<Index>[]>(static_cast<std::size_t>(n_rows));
  std::atomic<Index> next{0};
  detail::FirstException error;
  int wanted = resolve_threads(n_threads);
  if (n_rows < wanted) wanted = static_cast<int>(n_rows);
  const auto attempt = [&](Index row, const auto& work) {
    if (error.raised()) return;
    try {
      work();
    } catch (...) {
      error.capture(row);
    }
  };
  parallel_region(wanted, [&](int thread) {
    for (Index row = next++; row < n_rows; row = next++) {
      attempt(row, [&] { begin_row(row, thread); });
      for (Index column = 0; column < n_columns; ++column) {
        if (row > 0) {
          const auto& before = columns_left[static_cast<std::size_t>(row - 1)];
          for (int spins = 0; before.load(std::memory_order_acquire) <= column; ++spins) {
            if (spins > 64) std::this_thread::yield();
          }
        }
        attempt(row, [&] { body(row, column, thread); });
        columns_left[static_cast<std::size_t>(row)].store(column + 1, std::memory_order_release);
      }
    }
  });
  error.rethrow();
}

template <class Body>
void run_wavefront(Index n_rows, Index n_columns, int n_threads, const Body& body) {
  run_wavefront(n_rows, n_columns, n_threads, [](Index, int) {}, body);
}

}  // namespace matfac
