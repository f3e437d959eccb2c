#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "core/aligned.hpp"
#include "core/partition.hpp"
#include "core/sum.hpp"
#include "kernels/kernels.hpp"
#include "matfac/types.hpp"
#include "regularizers/l2.hpp"

namespace matfac::ccd {

/// One column of a side's parameters: what it costs, and what it may be.
struct ColumnRule {
  double l2 = 0;
  double l1 = 0;
  double least = -std::numeric_limits<double>::infinity();
  bool is_fixed = true;  ///< the ones beside the other side's biases, and what only fills up the last block
};

/// A run of ratings, entries [begin, end), of one row.
struct Part {
  Index row, begin, end;
};

/// A row with more ratings than this is cut into parts, so that it cannot hold up a thread.
inline constexpr Index kLongRow = 1 << 15;
inline constexpr Index kPart = 1 << 13;

/// One side's parameters, [b, 1, u] for users and [1, c, v] for items (u and v alone without biases), by blocks of
/// kCcdFactors columns: a pass over the ratings touches one block of each side, whose rows then lie close.
template <class T>
class Side {
 public:
  Side(MatrixView<T> factors, std::span<T> biases, bool is_user, const Index* offsets, const ColumnRule& factor_rule,
       const ColumnRule& bias_rule, double exponent, int n_threads)
      : factors_(factors),
        biases_(biases),
        bias_column_(biases.empty() ? -1 : (is_user ? 0 : 1)),
        first_factor_(biases.empty() ? 0 : 2),
        offsets_(offsets),
        n_threads_(n_threads),
        weights_(count_weights(offsets, factors.rows, exponent)),
        rules_(static_cast<std::size_t>((first_factor_ + factors.cols + kCcdFactors - 1) / kCcdFactors * kCcdFactors)),
        values_(AlignedBuffer<T>::zeros(factors.rows * n_columns())),
        pairs_(AlignedBuffer<T>::zeros(factors.rows * 2 * kCcdFactors)) {
    std::fill_n(rules_.begin() + first_factor_, factors.cols, factor_rule);
    if (bias_column_ >= 0) rules_[static_cast<std::size_t>(bias_column_)] = bias_rule;
    for_rows([&](Index i) {
      for (Index f = 0; f < factors_.cols; ++f) at(i, first_factor_ + f) = factors_.row(i)[f];
      if (bias_column_ < 0) return;
      at(i, bias_column_) = biases_[static_cast<std::size_t>(i)];
      at(i, 1 - bias_column_) = T(1);
    });
    cut();
  }

  Index rows() const { return factors_.rows; }
  Index n_columns() const { return static_cast<Index>(rules_.size()); }
  Index n_blocks() const { return n_columns() / kCcdFactors; }
  const Index* offsets() const { return offsets_; }
  double weight(Index i) const { return weights_[static_cast<std::size_t>(i)]; }
  const ColumnRule* rules(Index block) const { return rules_.data() + block * kCcdFactors; }

  /// The entries of row i in a block.
  T* block(Index block, Index i) { return values_.data() + (block * rows() + i) * kCcdFactors; }
  /// By how much row i's entries of a block have just changed, and the entries that the other side needs next.
  T* pair(Index i) { return pairs_.data() + i * 2 * kCcdFactors; }
  const T* pairs() const { return pairs_.data(); }

  /// Nothing has changed; the other side begins with block 0.
  void reset_pairs() {
    for_rows([&](Index i) {
      std::fill_n(pair(i), kCcdFactors, T(0));
      std::copy_n(block(0, i), kCcdFactors, pair(i) + kCcdFactors);
    });
  }

  /// Runs of rows with about equally many ratings, bounds[p] to bounds[p + 1]. They depend on the data alone.
  const std::vector<Index>& bounds() const { return bounds_; }
  /// The parts of the rows that are too long for a run; part first_part[j] is the first of long row j.
  const std::vector<Part>& parts() const { return parts_; }
  const std::vector<Index>& first_parts() const { return first_parts_; }
  bool is_long(Index i) const { return offsets_[i + 1] - offsets_[i] > kLongRow; }

  /// sum w (1/2 l2 x^2 + l1 |x|) over all parameters.
  double penalty() {
    return chunked_sum(rows(), kChunk, n_threads_, [&](Index begin, Index end) {
      double total = 0;
      for (Index c = 0; c < n_columns(); ++c) {
        const ColumnRule& rule = rules_[static_cast<std::size_t>(c)];
        for (Index i = begin; i < end && !rule.is_fixed; ++i) {
          const double x = static_cast<double>(at(i, c));
          total += weight(i) * (0.5 * rule.l2 * x * x + rule.l1 * std::abs(x));
        }
      }
      return total;
    });
  }

  /// Writes the parameters to the caller's arrays.
  void publish() {
    for_rows([&](Index i) {
      for (Index f = 0; f < factors_.cols; ++f) factors_.row(i)[f] = at(i, first_factor_ + f);
      if (bias_column_ >= 0) biases_[static_cast<std::size_t>(i)] = at(i, bias_column_);
    });
  }

 private:
  static constexpr Index kChunk = 1024;

  T& at(Index i, Index column) { return block(column / kCcdFactors, i)[column % kCcdFactors]; }

  template <class F>
  void for_rows(const F& f) {
    parallel_chunks(rows(), kChunk, n_threads_, [&](Index begin, Index end, int) {
      for (Index i = begin; i < end; ++i) f(i);
    });
  }

  void cut() {
    const Index n_runs = 1 + (offsets_[rows()] + 8 * rows()) / kLongRow;
    bounds_ = balanced_partition(offsets_, rows(), n_runs);
    for (Index i = 0; i < rows(); ++i) {
      if (!is_long(i)) continue;
      first_parts_.push_back(static_cast<Index>(parts_.size()));
      for (Index begin = offsets_[i]; begin < offsets_[i + 1]; begin += kPart) {
        parts_.push_back({i, begin, std::min(begin + kPart, offsets_[i + 1])});
      }
    }
    first_parts_.push_back(static_cast<Index>(parts_.size()));
  }

  MatrixView<T> factors_;
  std::span<T> biases_;
  Index bias_column_, first_factor_;
  const Index* offsets_;
  int n_threads_;
  std::vector<double> weights_;
  std::vector<ColumnRule> rules_;
  AlignedBuffer<T> values_, pairs_;
  std::vector<Index> bounds_, first_parts_;
  std::vector<Part> parts_;
};

}  // namespace matfac::ccd
