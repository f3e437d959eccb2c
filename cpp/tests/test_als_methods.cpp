#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "make_ratings.hpp"
#include "matfac/fit.hpp"
#include "solvers/als/least_norm.hpp"
#include "solvers/als/solve_rows.hpp"

using namespace matfac;
using namespace matfac::test;

namespace {

constexpr double kPenalty = 0.4, kBiasPenalty = 0.7, kUnobserved = 0.3, kScale = 2;

/// One row with a rating of every fixed row, numbers around zero, weights of 0, 1, 2.
template <class T>
struct WeightedRow {
  WeightedRow(Index n_ratings, Index width)
      : n(n_ratings),
        n_factors(width),
        fixed(make_factors<T>(n_ratings, width, 1)),
        offsets{0, n_ratings},
        values(make_factors<T>(n_ratings, 1, 2)) {
    for (Index i = 0; i < n; ++i) {
      items.push_back(static_cast<Code>(i));
      weights.push_back(static_cast<T>(i % 3));
    }
  }
  RatingsView<T> view() const { return {{1, n, offsets.data(), items.data()}, values.data(), weights.data()}; }

  std::vector<T> solved(const als::Method<T>& method, int n_threads, bool with_bias, std::vector<T> x = {}) const {
    x.resize(static_cast<std::size_t>(n_factors) + 1);
    const als::Fixed<T> side{fixed.data(), n_factors, false, nullptr, T(0)};
    const als::Target<T> target{x.data(), n_factors,    n_factors, with_bias ? &x.back() : nullptr,
                                kPenalty, kBiasPenalty, 0};
    als::solve_rows<T>(view(), 0, 1, side, target, n_threads, method);
    return x;
  }

  Index n, n_factors;
  std::vector<T> fixed;
  std::vector<Index> offsets;
  std::vector<Code> items;
  std::vector<T> values, weights;
};

template <class T>
double distance(const std::vector<T>& x, const std::vector<double>& y) {
  double largest = 0, error = 0;
  for (std::size_t f = 0; f < y.size(); ++f) {
    largest = std::max(largest, std::abs(y[f]));
    error = std::max(error, std::abs(static_cast<double>(x[f]) - y[f]));
  }
  return error / largest;
}

/// Weighted least squares in double: the rows of the system times the roots of their weights.
template <class T>
std::vector<double> weighted_least_squares(const WeightedRow<T>& row) {
  std::vector<double> a, r;
  for (Index i = 0; i < row.n; ++i) {
    const auto k = static_cast<std::size_t>(i);
    const double root = std::sqrt(static_cast<double>(row.weights[k]));
    for (Index f = 0; f < row.n_factors; ++f) {
      a.push_back(root * static_cast<double>(row.fixed[static_cast<std::size_t>(i * row.n_factors + f)]));
    }
    a.push_back(root);
    r.push_back(root * static_cast<double>(row.values[k]));
  }
  std::vector<double> penalties(static_cast<std::size_t>(row.n_factors), kPenalty);
  penalties.push_back(kBiasPenalty);
  return als::least_norm(a, r, penalties);
}

template <class T>
void check_weighted(Index n, Index n_factors) {
  CAPTURE(n);
  CAPTURE(n_factors);
  const WeightedRow<T> row(n, n_factors);
  const double allowed = sizeof(T) == 4 ? 2e-4 : 1e-11;
  const auto expected = weighted_least_squares(row);
  als::Method<T> method;
  const auto exact = row.solved(method, 1, true);
  CHECK(distance(exact, expected) <= allowed);
  CHECK(row.solved(method, 3, true) == exact);
  // One block is the whole row; as many steps as unknowns end at the minimizer.
  method.row_solver = RowSolver::subspace;
  const auto by_blocks = row.solved(method, 1, true, exact);
  CHECK(distance(by_blocks, expected) <= allowed);
  CHECK(row.solved(method, 3, true, exact) == by_blocks);
  method.row_solver = RowSolver::conjugate_gradient;
  method.cg_steps = static_cast<int>(2 * n_factors + 2);
  const auto by_steps = row.solved(method, 1, true);
  CHECK(distance(by_steps, expected) <= 10 * allowed);
  CHECK(row.solved(method, 3, true) == by_steps);
}

}  // namespace

TEST_CASE_TEMPLATE("a row of als with weights is the weighted least-squares solution", T, float, double) {
  for (const Index n_factors : {1, 2, 7, 16, 33, 64}) {
    for (const Index n : {2, 5, 12, 13, 24, 49, 76, 150}) check_weighted<T>(n, n_factors);
  }
}

TEST_CASE_TEMPLATE("a long row of als with weights is accumulated in parts", T, float, double) {
  check_weighted<T>((1 << 16) + 1, 3);
}

TEST_CASE_TEMPLATE("the Gram matrix of a side", T, float, double) {
  for (const Index n_rows : {1, 511, 513, 20'000}) {
    constexpr Index kFactors = 7;
    const auto factors = make_factors<T>(n_rows, kFactors, 5);
    const auto gram = als::gram_matrix<T>(factors.data(), kFactors, n_rows, kFactors, 1);
    for (Index f = 0; f < kFactors; ++f) {
      for (Index g = 0; g < kFactors; ++g) {
        double expected = 0;
        for (Index i = 0; i < n_rows; ++i) {
          expected += static_cast<double>(factors[static_cast<std::size_t>(i * kFactors + f)]) *
                      static_cast<double>(factors[static_cast<std::size_t>(i * kFactors + g)]);
        }
        const double error = std::abs(gram[static_cast<std::size_t>(f * kFactors + g)] - expected);
        CHECK(error <= (sizeof(T) == 4 ? 1e-6 : 1e-14) * static_cast<double>(n_rows));
      }
    }
    for (const int n_threads : {2, 3}) {
      CHECK(als::gram_matrix<T>(factors.data(), kFactors, n_rows, kFactors, n_threads) == gram);
    }
  }
}

TEST_CASE_TEMPLATE("implicit_squared counts all pairs", T, float, double) {
  Ratings<T> ratings = make_ratings<T>(40, 30, 0.2);
  Settings settings;
  settings.n_factors = 7;
  settings.loss = Loss::implicit_squared;
  settings.biases = false;
  settings.regularization = PerSide{0.3, 0.6};
  settings.unobserved_weight = kUnobserved;
  settings.confidence_scale = kScale;
  settings.max_iter = 3;
  settings.n_threads = 1;
  std::vector<T> users(40 * 7), items(30 * 7);
  const auto report = fit<T>(ratings, settings, {as_matrix(users, 40, 7), as_matrix(items, 30, 7), {}, {}});
  double total = 0;
  std::vector<Index> counts(30);
  for (const Code item : ratings.items) ++counts[static_cast<std::size_t>(item)];
  for (Index n = 0; n < 40; ++n) {
    // A user of whom nothing is known is 0 in the objective; the row that is published for such a one is a fallback.
    if (ratings.offsets[static_cast<std::size_t>(n)] == ratings.offsets[static_cast<std::size_t>(n + 1)]) continue;
    std::vector<double> rated(30, 0.0);
    for (Index i = ratings.offsets[static_cast<std::size_t>(n)]; i < ratings.offsets[static_cast<std::size_t>(n + 1)];
         ++i) {
      rated[static_cast<std::size_t>(ratings.items[static_cast<std::size_t>(i)])] = static_cast<double>(
          ratings.values[static_cast<std::size_t>(i)]);
    }
    double squares = 0, n_rated = 0;
    for (Index f = 0; f < 7; ++f)
      squares += std::pow(static_cast<double>(users[static_cast<std::size_t>(n * 7 + f)]), 2);
    for (Index m = 0; m < 30; ++m) {
      double estimate = 0;
      for (Index f = 0; f < 7; ++f) {
        estimate += static_cast<double>(users[static_cast<std::size_t>(n * 7 + f)]) *
                    static_cast<double>(items[static_cast<std::size_t>(m * 7 + f)]);
      }
      const double r = rated[static_cast<std::size_t>(m)];
      n_rated += r > 0;
      total += 0.5 * (r > 0 ? (kUnobserved + kScale * r) * (1 - estimate) * (1 - estimate)
                            : kUnobserved * estimate * estimate);
    }
    total += 0.5 * std::sqrt(n_rated) * 0.3 * squares;
  }
  for (Index m = 0; m < 30; ++m) {
    double squares = 0;
    for (Index f = 0; f < 7; ++f)
      squares += std::pow(static_cast<double>(items[static_cast<std::size_t>(m * 7 + f)]), 2);
    total += 0.5 * std::sqrt(static_cast<double>(counts[static_cast<std::size_t>(m)])) * 0.6 * squares;
  }
  CHECK(report.history.back().objective == doctest::Approx(total).epsilon(sizeof(T) == 4 ? 1e-5 : 1e-12));
  CHECK(report.history[2].objective < report.history[0].objective);
}

TEST_CASE("als refuses what its row solvers do not know") {
  Settings settings;
  settings.loss = Loss::implicit_squared;
  CHECK(contains(refusal([&] { validate(settings); }), "without biases"));
  settings.biases = false;
  settings.row_solver = RowSolver::subspace;
  validate(settings);
  settings.nonnegative = true;
  CHECK(contains(refusal([&] { validate(settings); }), "choose 'cholesky'"));
}
