#pragma once

#include <limits>

#include "core/aligned.hpp"
#include "kernels/kernels.hpp"
#include "matfac/fit.hpp"
#include "solvers/loss_loops.hpp"
#include "solvers/stochastic/blocks.hpp"

namespace matfac::stochastic {

/// One side's rows in the order of the blocks: padded factors, and the biases and rates beside them.
template <class T>
struct Rows {
  Rows(MatrixView<T> factors, std::span<T> biases, const std::vector<Code>& code_at, T factor_scale, T bias_scale,
       int n_threads);
  /// Writes them back, scaled by the inverse factors.
  void publish(MatrixView<T> factors, std::span<T> biases, const std::vector<Code>& code_at, T factor_scale,
               T bias_scale, int n_threads) const;

  Index stride;
  AlignedBuffer<T> factors;
  std::vector<SgdRow<T>> rows;
};

/// What all steps of an epoch have in common; see SgdBlock.
template <class T>
struct Steps {
  LossLoops<T> loops;
  T offset = 0;
  T damping_threshold = std::numeric_limits<T>::infinity();
  T negative_part = 1;
  T least_bias = -std::numeric_limits<T>::infinity();
};

/// The unit of work of SGD: runs the given blocks, in an order equivalent to the given one (see run_ordered_blocks).
/// `before(block, position)` is called on the block's thread before it runs. Returns the sum of the losses, each
/// measured before its step.
template <class T, class Before>
double run_blocks(const Blocks<T>& blocks, const std::vector<Block>& order, Rows<T>& users, Rows<T>& items,
                  const Steps<T>& steps, int n_threads, const Before& before) {
  std::vector<double> losses(order.size());
  run_ordered_blocks(order, blocks.n_rows(), blocks.n_columns(), n_threads, [&](Block block, Index position, int) {
    before(block, position);
    const auto at = static_cast<std::size_t>(block.row * blocks.n_columns() + block.column);
    const Index begin = blocks.offsets[at], n = blocks.offsets[at + 1] - begin;
    const Index user = blocks.user_bounds[static_cast<std::size_t>(block.row)];
    const Index item = blocks.item_bounds[static_cast<std::size_t>(block.column)];
    losses[static_cast<std::size_t>(position)] = steps.loops.kernels->block_sgd(
        steps.loops.loss, {.users = blocks.users.data() + begin,
                           .items = blocks.items.data() + begin,
                           .values = blocks.values.data() + begin,
                           .weights = blocks.weights.empty() ? nullptr : blocks.weights.data() + begin,
                           .n = n,
                           .user_factors = users.factors.data() + user * users.stride,
                           .item_factors = items.factors.data() + item * items.stride,
                           .user_rows = users.rows.data() + user,
                           .item_rows = items.rows.data() + item,
                           .stride = users.stride,
                           .offset = steps.offset,
                           .damping_threshold = steps.damping_threshold,
                           .negative_part = steps.negative_part,
                           .least_bias = steps.least_bias});
  });
  double total = 0;
  for (const double loss : losses) total += loss;
  return total;
}

}  // namespace matfac::stochastic
