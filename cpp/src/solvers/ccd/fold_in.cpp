// Rows of new users under the Kullback-Leibler divergence, all estimates at least 0: by coordinates, each by Newton's
// method. Along a coordinate the derivative sum q v (1 - r / z) + l x + kappa rises and is concave, so that a step
// never goes beyond the minimizer from the left, and from the right lands left of it: after that the steps are
// monotone.
//
// C.-J. Hsieh, I. Dhillon: Fast Coordinate Descent Methods with Variable Selection for Non-negative Matrix
// Factorization. KDD 2011.

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/parallel.hpp"
#include "regularizers/l2.hpp"
#include "solvers/resolve.hpp"
#include "solvers/row_finder.hpp"

namespace matfac::ccd {
namespace {

constexpr int kMaxPasses = 200, kNewtonSteps = 4;
constexpr double kLeastChange = 1e-6;
constexpr double kLeastEstimate = 1e-6;  // as losses/kullback_leibler.hpp has it

/// One row's problem, in double; a bias is the factor of an item that is always 1, without a threshold.
struct DivergenceRow {
  Index n, width;
  std::vector<double> columns;  // width x n
  std::vector<double> ratings, weights, estimates;
  std::vector<double> penalties, thresholds, least;

  /// From equal factors that make the estimates right in the sum, and no bias.
  std::vector<double> minimize() {
    std::vector<double> x(static_cast<std::size_t>(width));
    const double level = start();
    for (Index f = 0; f < width; ++f) {
      if (least[f] == 0) move(f, x[f] = level);
    }
    for (int pass = 0; pass < kMaxPasses; ++pass) {
      double change = 0, largest = 0;
      for (Index f = 0; f < width; ++f) {
        const double before = x[f];
        for (int step = 0; step < kNewtonSteps; ++step) {
          const double by = newton(f, x[f]) - x[f];
          if (by == 0) break;
          move(f, by);
          x[f] += by;
        }
        change = std::max(change, std::abs(x[f] - before));
        largest = std::max(largest, std::abs(x[f]));
      }
      if (change <= kLeastChange * largest) break;
    }
    return x;
  }

 private:
  const double* column(Index f) const { return columns.data() + f * n; }

  double start() const {
    double missing = 0, sum = 0;
    for (Index i = 0; i < n; ++i) {
      missing += weights[i] * (ratings[i] - estimates[i]);
      for (Index f = 0; f < width; ++f) sum += least[f] == 0 ? weights[i] * column(f)[i] : 0;
    }
    return missing > 0 && sum > 0 ? missing / sum : 0;
  }

  void move(Index f, double by) {
    for (Index i = 0; i < n; ++i) estimates[i] += by * column(f)[i];
  }

  double newton(Index f, double x) const {
    double slope = penalties[f] * x + thresholds[f], curvature = penalties[f];
    for (Index i = 0; i < n; ++i) {
      const double z = std::max(estimates[i], kLeastEstimate), v = column(f)[i], part = ratings[i] / z;
      slope += weights[i] * v * (1 - part);
      curvature += weights[i] * v * v * part / z;
    }
    return curvature > 0 ? std::max(least[f], x - slope / curvature) : slope > 0 ? least[f] : x;
  }
};

template <class T>
class DivergenceRowFinder final : public RowFinder<T> {
 public:
  DivergenceRowFinder(const ModelView<T>& model, const Settings& settings) : model_(model), settings_(settings) {}

  void find(const RatingsView<T>& ratings, MatrixView<T> user_factors, std::span<T> user_biases,
            int n_threads) const override {
    parallel_chunks(ratings.n_users, 4, n_threads, [&](Index begin, Index end, int) {
      for (Index n = begin; n < end; ++n) {
        if (ratings.offsets[n] == ratings.offsets[n + 1]) continue;
        const std::vector<double> x = problem_of(ratings, n).minimize();
        std::transform(x.begin(), x.begin() + user_factors.cols, user_factors.row(n),
                       [](double f) { return static_cast<T>(f); });
        if (!user_biases.empty()) user_biases[static_cast<std::size_t>(n)] = static_cast<T>(x.back());
      }
    });
  }

 private:
  DivergenceRow problem_of(const RatingsView<T>& ratings, Index n) const {
    const MatrixView<const T> V = model_.item_factors;
    const Index begin = ratings.offsets[n], count = ratings.offsets[n + 1] - begin;
    const auto width = static_cast<std::size_t>(V.cols + (settings_.biases ? 1 : 0));
    const double weight = count_weight(count, settings_.regularization_exponent);
    DivergenceRow row{count, static_cast<Index>(width), {}, {}, {}, {}, {}, {}, {}};
    row.penalties.assign(width, weight * settings_.regularization->user);
    row.thresholds.assign(width, weight * settings_.l1_regularization.user);
    row.least.assign(width, 0.0);
    if (settings_.biases) {
      row.least.back() = least_bias(Loss::kullback_leibler, model_.global_mean);
      row.penalties.back() = weight * settings_.bias_regularization->user;
      row.thresholds.back() = 0;
    }
    row.columns.assign(width * static_cast<std::size_t>(count), 1.0);
    for (Index i = 0; i < count; ++i) {
      const Code item = ratings.items[begin + i];
      for (Index f = 0; f < V.cols; ++f) {
        row.columns[static_cast<std::size_t>(f * count + i)] = static_cast<double>(V.row(item)[f]);
      }
      row.ratings.push_back(static_cast<double>(ratings.values[begin + i]));
      row.weights.push_back(ratings.weights != nullptr ? static_cast<double>(ratings.weights[begin + i]) : 1.0);
      const double bias = settings_.biases ? static_cast<double>(model_.item_biases[static_cast<std::size_t>(item)])
                                           : 0;
      row.estimates.push_back(model_.global_mean + bias);
    }
    return row;
  }

  ModelView<T> model_;
  Settings settings_;
};

}  // namespace

template <class T>
std::unique_ptr<const RowFinder<T>> row_finder(const ModelView<T>& model, const Settings& settings) {
  return std::make_unique<const DivergenceRowFinder<T>>(model, settings);
}

template std::unique_ptr<const RowFinder<float>> row_finder(const ModelView<float>&, const Settings&);
template std::unique_ptr<const RowFinder<double>> row_finder(const ModelView<double>&, const Settings&);

}  // namespace matfac::ccd
