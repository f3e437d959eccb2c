#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/parallel.hpp"
#include "solvers/ccd/side.hpp"

namespace matfac::ccd {

/// How often an update goes over the entries of a block.
inline constexpr int kCycles = 2;

using Sums = std::array<double, kCcdSums>;

/// Minimizes the objective by each entry of a row's block in turn, the others held: with the sums of ccd_accumulate
/// (the slopes s_j = sum q e y_j and the squares A_jl = sum q y_j y_l) an entry becomes
///
///   x_j := max(least, soft(s_j + A_jj x_j, w l1)) / (A_jj + w l2),   and s_l -= A_jl times its change.
///
/// Returns whether anything has changed; `change` receives by how much.
template <class T>
bool update_block(Sums sums, const ColumnRule* rules, double weight, T* x, T* change) {
  std::array<double, kCcdFactors> now;
  double squares[kCcdFactors][kCcdFactors];
  for (int j = 0, k = kCcdFactors; j < kCcdFactors; ++j) {
    now[static_cast<std::size_t>(j)] = static_cast<double>(x[j]);
    for (int l = j; l < kCcdFactors; ++l, ++k) squares[j][l] = squares[l][j] = sums[static_cast<std::size_t>(k)];
  }
  for (int cycle = 0; cycle < kCycles; ++cycle) {
    for (int j = 0; j < kCcdFactors; ++j) {
      const ColumnRule& rule = rules[j];
      if (rule.is_fixed) continue;
      double& entry = now[static_cast<std::size_t>(j)];
      double z = sums[static_cast<std::size_t>(j)] + squares[j][j] * entry;
      const double threshold = rule.l1 * weight;
      if (threshold > 0) z = std::copysign(std::max(std::abs(z) - threshold, 0.0), z);
      const double curvature = squares[j][j] + rule.l2 * weight;
      // Where nothing depends on the entry, it is 0.
      const double next = curvature > 0 ? std::max(z / curvature, rule.least) : 0;
      for (int l = 0; l < kCcdFactors; ++l) sums[static_cast<std::size_t>(l)] -= squares[j][l] * (next - entry);
      entry = next;
    }
  }
  bool has_changed = false;
  for (int j = 0; j < kCcdFactors; ++j) {
    const T before = x[j];
    x[j] = static_cast<T>(now[static_cast<std::size_t>(j)]);
    change[j] = x[j] - before;
    has_changed = has_changed || change[j] != T(0);
  }
  return has_changed;
}

/// The ratings by one side's rows.
template <class T>
struct Residuals {
  const Code* codes;
  T* values;         ///< r - r_hat
  const T* weights;  ///< or null
};

/// What a pass does: own block `block` is updated, given the other side's pairs. `stale` is the own block whose
/// products with what has changed on the other side the residuals still lack; `next` is the own block that the other
/// side needs afterwards.
struct Step {
  Index block, stale, next;
  bool wants_loss;
};

/// One pass over the ratings of a side's rows. A row is a task of its own but for long ones, whose parts are, and their
/// sums are added in order: the same bits at any number of threads.
template <class T>
class Pass {
 public:
  Pass(Side<T>& own, const Side<T>& other, const Residuals<T>& residuals, int n_threads)
      : own_(own), other_(other), residuals_(residuals), n_threads_(n_threads) {}

  /// Returns the sum of q e^2 if it is wanted.
  double operator()(const Step& step) const {
    const auto& bounds = own_.bounds();
    std::vector<double> squares(bounds.size());
    const double long_squares = own_.parts().empty() ? 0 : run_long_rows(step);
    parallel_for(static_cast<Index>(bounds.size()) - 1, n_threads_, [&](Index run, int) {
      const auto r = static_cast<std::size_t>(run);
      for (Index i = bounds[r]; i < bounds[r + 1]; ++i) {
        if (own_.offsets()[i + 1] > own_.offsets()[i] && !own_.is_long(i)) squares[r] += run_row(step, i);
      }
    });
    double total = long_squares;
    for (const double s : squares) total += s;
    return total;
  }

 private:
  CcdRow<T> ratings(Index begin, Index end) const {
    return {residuals_.codes + begin,
            residuals_.values + begin,
            residuals_.weights != nullptr ? residuals_.weights + begin : nullptr,
            end - begin,
            own_.offsets()[own_.rows()] - end,
            other_.pairs()};
  }

  /// Updates row i by its sums; returns whether its residuals are to be moved.
  bool finish_row(const Step& step, Index i, const Sums& sums) const {
    T* const x = own_.block(step.block, i);
    T* const pair = own_.pair(i);
    const bool has_changed = update_block(sums, own_.rules(step.block), own_.weight(i), x, pair);
    std::copy_n(own_.block(step.next, i), kCcdFactors, pair + kCcdFactors);
    return has_changed || step.wants_loss;
  }

  double run_row(const Step& step, Index i) const {
    const CcdRow<T> row = ratings(own_.offsets()[i], own_.offsets()[i + 1]);
    Sums sums{};
    kernels_.ccd_accumulate(row, own_.block(step.stale, i), sums.data());
    return finish_row(step, i, sums) ? kernels_.ccd_move(row, own_.pair(i)) : 0;
  }

  double run_long_rows(const Step& step) const {
    const auto& parts = own_.parts();
    std::vector<Sums> sums(parts.size());
    const auto n_parts = static_cast<Index>(parts.size());
    parallel_for(n_parts, n_threads_, [&](Index p, int) {
      const auto at = static_cast<std::size_t>(p);
      kernels_.ccd_accumulate(ratings(parts[at].begin, parts[at].end), own_.block(step.stale, parts[at].row),
                              sums[at].data());
    });
    std::vector<char> is_moved(parts.size());
    for (std::size_t j = 0; j + 1 < own_.first_parts().size(); ++j) {
      const auto first = static_cast<std::size_t>(own_.first_parts()[j]),
                 last = static_cast<std::size_t>(own_.first_parts()[j + 1]);
      Sums total{};
      for (std::size_t p = first; p < last; ++p) {
        for (std::size_t k = 0; k < total.size(); ++k) total[k] += sums[p][k];
      }
      std::fill(is_moved.begin() + first, is_moved.begin() + last, finish_row(step, parts[first].row, total));
    }
    return chunked_sum(n_parts, 1, n_threads_, [&](Index p, Index) {
      const Part& part = parts[static_cast<std::size_t>(p)];
      if (!is_moved[static_cast<std::size_t>(p)]) return 0.0;
      return kernels_.ccd_move(ratings(part.begin, part.end), own_.pair(part.row));
    });
  }

  Side<T>& own_;
  const Side<T>& other_;
  Residuals<T> residuals_;
  int n_threads_;
  const Kernels<T>& kernels_ = kernels<T>();
};

}  // namespace matfac::ccd
