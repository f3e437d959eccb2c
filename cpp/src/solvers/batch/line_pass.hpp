#pragma once

#include <array>
#include <vector>

#include "core/aligned.hpp"
#include "core/sum.hpp"
#include "matfac/ratings.hpp"
#include "solvers/batch/line_search.hpp"
#include "solvers/loss_loops.hpp"

namespace matfac::batch {

/// The loss along a direction: one pass over the ratings stores what the estimates are made of, r_hat + t a + t^2 b,
/// and then each step t that is tried costs a few operations a rating, whatever F. Memory: three numbers a rating.
template <class T>
class LinePass {
 public:
  LinePass(const RatingsView<T>& ratings, const LossLoops<T>& loops, int n_threads)
      : ratings_(ratings),
        loops_(loops),
        n_threads_(n_threads),
        estimates_(ratings.nnz()),
        slopes_(ratings.nnz()),
        squares_(ratings.nnz()) {}

  template <class Side>
  void prepare(const Side& users, const Side& items, T mean) {
    parallel_chunks(ratings_.n_users, 256, n_threads_, [&](Index begin, Index end, int) {
      for (Index n = begin; n < end; ++n) {
        const Index i = ratings_.offsets[n];
        kernels<T>().row_line_estimates(users.x(n), users.direction(n), items.x(), items.direction(), items.stride(),
                                        ratings_.items + i, mean, ratings_.offsets[n + 1] - i, estimates_.data() + i,
                                        slopes_.data() + i, squares_.data() + i);
      }
    });
  }

  /// The loss and its derivative by t.
  LinePoint operator()(double t) const {
    std::vector<double> slopes(static_cast<std::size_t>((ratings_.nnz() + kChunk - 1) / kChunk));
    const double value = chunked_sum(ratings_.nnz(), kChunk, n_threads_, [&](Index begin, Index end) {
      return chunk(t, begin, end, slopes[static_cast<std::size_t>(begin / kChunk)]);
    });
    double slope = 0;
    for (const double s : slopes) slope += s;
    return {value, slope};
  }

  /// The sum of weight a^2: the curvature at t = 0 of a squared loss with these residuals' slopes.
  double squared_slopes() const {
    return chunked_sum(ratings_.nnz(), kChunk, n_threads_, [&](Index begin, Index end) {
      double total = 0;
      for (Index i = begin; i < end; ++i) {
        const double a = static_cast<double>(slopes_[i]);
        total += (ratings_.weights != nullptr ? static_cast<double>(ratings_.weights[i]) : 1.0) * a * a;
      }
      return total;
    });
  }

 private:
  static constexpr Index kChunk = 1 << 13, kPiece = 256;

  double chunk(double t, Index begin, Index end, double& slope) const {
    T estimates[kPiece], derivatives[kPiece];
    const T step = static_cast<T>(t);
    double total = 0;
    for (Index i = begin; i < end; i += kPiece) {
      const Index n = std::min(kPiece, end - i);
      for (Index k = 0; k < n; ++k) {
        estimates[k] = estimates_[i + k] + step * (slopes_[i + k] + step * squares_[i + k]);
      }
      total = loops_.loss.evaluate(ratings_.values + i, estimates,
                                   ratings_.weights != nullptr ? ratings_.weights + i : nullptr, n,
                                   loops_.loss.parameter, derivatives, total);
      for (Index k = 0; k < n; ++k) {
        slope += static_cast<double>(derivatives[k]) *
                 (static_cast<double>(slopes_[i + k]) + 2 * t * static_cast<double>(squares_[i + k]));
      }
    }
    return total;
  }

  RatingsView<T> ratings_;
  LossLoops<T> loops_;
  int n_threads_;
  AlignedBuffer<T> estimates_, slopes_, squares_;
};

}  // namespace matfac::batch
