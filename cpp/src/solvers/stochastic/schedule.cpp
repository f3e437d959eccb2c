#include "solvers/stochastic/schedule.hpp"

#include <cmath>

#include "core/parallel.hpp"
#include "core/sum.hpp"
#include "regularizers/l2.hpp"

namespace matfac::stochastic {
namespace {

constexpr double kFactorDecay = 1.0 / 50;
constexpr double kBiasDecay = 1.0;

}  // namespace

template <class T>
Schedule<T>::Schedule(Rows<T>& rows, const std::vector<Index>& counts, std::vector<double> extra_steps,
                      double learning_rate, bool biases, const RowPenalty& penalty)
    : rows_(rows), steps_(std::move(extra_steps)), learning_rate_(learning_rate), biases_(biases), penalty_(penalty) {
  steps_.resize(counts.size());
  per_step_.reserve(counts.size());
  for (std::size_t i = 0; i < counts.size(); ++i) {
    steps_[i] += static_cast<double>(counts[i]);
    per_step_.push_back(counts[i] > 0 ? static_cast<T>(count_weight(counts[i], penalty.exponent) / steps_[i]) : T(0));
  }
}

template <class T>
void Schedule<T>::set(Index begin, Index end, double time) {
  for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
    const double taken = steps_[i] * time;
    const double rate = learning_rate_ / std::sqrt(1 + kFactorDecay * taken);
    const double bias_rate = biases_ ? learning_rate_ / std::sqrt(1 + kBiasDecay * taken) : 0;
    const double share = static_cast<double>(per_step_[i]);
    const double shrink = 1 / (1 + rate * penalty_.regularization * share);
    const double bias_shrink = 1 / (1 + bias_rate * penalty_.bias_regularization * share);
    auto& row = rows_.rows[i];
    row.rate = static_cast<T>(rate * shrink);
    row.shrink = static_cast<T>(shrink);
    row.threshold = static_cast<T>(rate * shrink * penalty_.l1_regularization * share);
    row.bias_rate = static_cast<T>(bias_rate * bias_shrink);
    row.bias_shrink = static_cast<T>(bias_shrink);
  }
}

template <class T>
void Schedule<T>::set_all(double time, int n_threads) {
  parallel_chunks(static_cast<Index>(steps_.size()), 1024, n_threads,
                  [&](Index begin, Index end, int) { set(begin, end, time); });
}

template <class T>
double Schedule<T>::penalty(int n_threads) const {
  const Index stride = rows_.stride;
  return chunked_sum(static_cast<Index>(steps_.size()), 4096, n_threads, [&](Index begin, Index end) {
    double total = 0;
    for (Index i = begin; i < end; ++i) {
      const auto k = static_cast<std::size_t>(i);
      double squares = 0, magnitudes = 0;
      for (Index f = 0; f < stride; ++f) {
        const double x = static_cast<double>(rows_.factors[i * stride + f]);
        squares += x * x;
        magnitudes += std::abs(x);
      }
      const double b = static_cast<double>(rows_.rows[k].bias);
      total += steps_[k] * static_cast<double>(per_step_[k]) *
               (0.5 * penalty_.regularization * squares + penalty_.l1_regularization * magnitudes +
                0.5 * penalty_.bias_regularization * b * b);
    }
    return total;
  });
}

template class Schedule<float>;
template class Schedule<double>;

}  // namespace matfac::stochastic
