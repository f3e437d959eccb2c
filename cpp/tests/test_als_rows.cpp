#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "core/random.hpp"
#include "solvers/als/least_norm.hpp"
#include "solvers/als/solve_rows.hpp"

using namespace matfac;

namespace {

/// One row with `n` ratings of `n` fixed rows, numbers in [-1, 1).
template <class T>
struct Row {
  Row(Index n, Index n_factors) : fixed(draw(n * n_factors, 0)), offsets{0, n}, values(draw(n, 1)), biases(draw(n, 2)) {
    for (Index i = 0; i < n; ++i) items.push_back(static_cast<Code>(i));
  }
  static std::vector<T> draw(Index n, std::uint64_t part) {
    std::vector<T> numbers;
    for (Index i = 0; i < n; ++i) {
      const Words words = random_words(7, Stream::user_order, part, static_cast<std::uint32_t>(i));
      numbers.push_back(static_cast<T>(static_cast<double>(words[0]) / 2147483648.0 - 1));
    }
    return numbers;
  }
  RatingsView<T> view() const {
    const auto n = static_cast<Index>(items.size());
    return {{1, n, offsets.data(), items.data()}, values.data()};
  }

  std::vector<T> fixed;
  std::vector<Index> offsets;
  std::vector<Code> items;
  std::vector<T> values, biases;
};

constexpr double kPenalty = 0.3, kBiasPenalty = 0.7, kMean = 0.25;

/// The factors, and the bias at the end, by the twin of `solve_rows`: dense least squares in double.
template <class T>
std::vector<double> expected(const Row<T>& row, Index n_factors, bool with_bias) {
  const auto n = static_cast<Index>(row.items.size());
  const Index size = n_factors + (with_bias ? 1 : 0);
  std::vector<double> a(static_cast<std::size_t>(n * size), 1.0), r;
  for (Index i = 0; i < n; ++i) {
    const auto k = static_cast<std::size_t>(i);
    for (Index f = 0; f < n_factors; ++f) {
      a[static_cast<std::size_t>(i * size + f)] = static_cast<double>(
          row.fixed[static_cast<std::size_t>(i * n_factors + f)]);
    }
    r.push_back(static_cast<double>(row.values[k]) - kMean - (with_bias ? static_cast<double>(row.biases[k]) : 0.0));
  }
  std::vector<double> penalties(static_cast<std::size_t>(size), kPenalty);
  if (with_bias) penalties.back() = kBiasPenalty;
  return als::least_norm(a, r, penalties);
}

template <class T>
std::vector<T> solved(const Row<T>& row, Index n_factors, bool with_bias, int n_threads) {
  std::vector<T> x(static_cast<std::size_t>(n_factors) + 1);
  const als::Fixed<T> fixed{row.fixed.data(), n_factors, with_bias ? row.biases.data() : nullptr, T(kMean)};
  const als::Target<T> target{x.data(), n_factors,    n_factors, with_bias ? &x.back() : nullptr,
                              kPenalty, kBiasPenalty, 0};
  als::solve_rows<T>(row.view(), 0, 1, fixed, target, n_threads);
  if (!with_bias) x.pop_back();
  return x;
}

template <class T>
void check(Index n, Index n_factors) {
  CAPTURE(n);
  CAPTURE(n_factors);
  const Row<T> row(n, n_factors);
  for (const bool with_bias : {false, true}) {
    const auto x = solved(row, n_factors, with_bias, 1);
    const auto y = expected(row, n_factors, with_bias);
    double largest = 0, error = 0;
    for (std::size_t f = 0; f < y.size(); ++f) {
      largest = std::max(largest, std::abs(y[f]));
      error = std::max(error, std::abs(static_cast<double>(x[f]) - y[f]));
    }
    CHECK(error <= (sizeof(T) == 4 ? 2e-4 : 1e-12) * largest);
    CHECK(solved(row, n_factors, with_bias, 3) == x);
  }
}

}  // namespace

// By its ratings, by its factors, and the border between the two; panels that are not full; whole and broken bands.
TEST_CASE_TEMPLATE("a row of als is the least-squares solution", T, float, double) {
  for (const Index n_factors : {1, 2, 7, 16, 33, 64, 100}) {
    for (const Index n : {1, 2, 5, 11, 12, 13, 24, 25, 48, 49, 75, 76, 150}) check<T>(n, n_factors);
  }
}

TEST_CASE_TEMPLATE("a long row of als is accumulated in parts", T, float, double) {
  check<T>((1 << 16) + 1, 3);
  check<T>(700'001, 2);
}
