#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "core/parallel.hpp"

namespace matfac {

/// A block of a grid: the ratings of a range of users (its row) and a range of items (its column).
struct Block {
  Index row = 0;
  Index column = 0;
};

/// Runs `body(block, position, thread)` for every block of `order`, in parallel, with the result of the serial order.
///
/// Two blocks of the same grid row or column touch the same factors, so a block starts only when the one before it in
/// its row and the one before it in its column, in `order`, are done. Blocks are claimed in `order`: whatever a block
/// waits for has been claimed before it and will finish, so there is no deadlock at any number of threads, and no
/// barrier.
template <class Body>
void run_ordered_blocks(const std::vector<Block>& order, Index n_rows, Index n_columns, int n_threads,
                        const Body& body) {
  const auto n = static_cast<Index>(order.size());
  if (n == 0) return;
  // How many blocks of its row and of its column must be done before each block.
  std::vector<Index> row_turn(order.size()), column_turn(order.size());
  {
    std::vector<Index> row_count(static_cast<std::size_t>(n_rows)), column_count(static_cast<std::size_t>(n_columns));
    for (std::size_t i = 0; i < order.size(); ++i) {
      row_turn[i] = row_count[static_cast<std::size_t>(order[i].row)]++;
      column_turn[i] = column_count[static_cast<std::size_t>(order[i].column)]++;
    }
  }
  const auto rows_done = std::make_unique<std::atomic<Index>[]>(static_cast<std::size_t>(n_rows));
  const auto columns_done = std::make_unique<std::atomic<Index>[]>(static_cast<std::size_t>(n_columns));
  std::atomic<Index> next{0};
  detail::FirstException error;

  const auto wait_for = [](const std::atomic<Index>& done, Index turn) {
    for (int spins = 0; done.load(std::memory_order_acquire) < turn; ++spins) {
      if (spins > 64) std::this_thread::yield();
    }
  };
  const int wanted = resolve_threads(n_threads);
  parallel_region(n < wanted ? static_cast<int>(n) : wanted, [&](int thread) {
    for (Index i = next++; i < n; i = next++) {
      const Block block = order[static_cast<std::size_t>(i)];
      auto& row_done = rows_done[static_cast<std::size_t>(block.row)];
      auto& column_done = columns_done[static_cast<std::size_t>(block.column)];
      wait_for(row_done, row_turn[static_cast<std::size_t>(i)]);
      wait_for(column_done, column_turn[static_cast<std::size_t>(i)]);
      if (!error.raised()) {
        try {
          body(block, i, thread);
        } catch (...) {
          error.capture(i);
        }
      }
      row_done.fetch_add(1, std::memory_order_release);
      column_done.fetch_add(1, std::memory_order_release);
    }
  });
  error.rethrow();
}

}  // namespace matfac
