#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/padded_matrix.hpp"
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
  const als::Fixed<T> fixed{row.fixed.data(), n_factors, false, with_bias ? row.biases.data() : nullptr, T(kMean)};
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

namespace {

/// Rows of many lengths over shared items, none among them.
template <class T>
struct Rows {
  explicit Rows(Index n_factors) : numbers(Row<T>::draw(kItems * n_factors, 3)), values(Row<T>::draw(4000, 4)) {
    for (Index i = 0; i < 60; ++i) {
      const Index n = i % 7 == 3 ? 0 : (i * 37) % (i % 2 == 0 ? 130 : 2 * n_factors + 3);
      for (Index k = 0; k < n; ++k) items.push_back(static_cast<Code>((i + 3 * k) % kItems));
      offsets.push_back(static_cast<Index>(items.size()));
    }
    values.resize(items.size(), T(0.5));
  }
  Index n_rows() const { return static_cast<Index>(offsets.size()) - 1; }

  /// Factors and biases after `solve_rows` of runs of `step` rows.
  std::vector<T> solved(Index n_factors, bool with_bias, double penalty, Index step, int n_threads,
                        bool is_padded = false) const {
    const RatingsView<T> view{{n_rows(), kItems, offsets.data(), items.data()}, values.data()};
    std::vector<T> factors(static_cast<std::size_t>(n_rows() * n_factors), T(9)), biases(offsets.size() - 1, T(9));
    const PaddedMatrix<const T> padded({numbers.data(), kItems, n_factors}, 1);
    const als::Fixed<T> fixed = is_padded ? als::Fixed<T>{padded.data(), padded.stride(), true, nullptr, T(kMean)}
                                          : als::Fixed<T>{numbers.data(), n_factors, false, nullptr, T(kMean)};
    const als::Target<T> target{factors.data(), n_factors, n_factors, with_bias ? biases.data() : nullptr,
                                penalty,        penalty,   0};
    for (Index i = 0; i < n_rows(); i += step) {
      als::solve_rows<T>(view, i, std::min(i + step, n_rows()), fixed, target, n_threads);
    }
    if (with_bias) factors.insert(factors.end(), biases.begin(), biases.end());
    return factors;
  }

  static constexpr Index kItems = 400;
  std::vector<T> numbers, values;
  std::vector<Index> offsets{0};
  std::vector<Code> items;
};

}  // namespace

// By their ratings and by their factors; systems that fit the lanes and larger ones; without a penalty also rows that
// only the least-norm solution can have.
TEST_CASE_TEMPLATE("a row of als has the same bits alone and beside others, padded and not", T, float, double) {
  for (const Index n_factors : {1, 7, 16, 33, 64, 80, 100}) {
    const Rows<T> rows(n_factors);
    for (const bool with_bias : {false, true}) {
      for (const double penalty : {0.3, 0.0}) {
        CAPTURE(n_factors);
        CAPTURE(with_bias);
        CAPTURE(penalty);
        const auto alone = rows.solved(n_factors, with_bias, penalty, 1, 1);
        CHECK(rows.solved(n_factors, with_bias, penalty, rows.n_rows(), 1) == alone);
        CHECK(rows.solved(n_factors, with_bias, penalty, 11, 2) == alone);
        CHECK(rows.solved(n_factors, with_bias, penalty, 7, 1, true) == alone);
      }
    }
  }
}
