#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "core/aligned.hpp"
#include "kernels/kernels.hpp"
#include "levels.hpp"
#include "make_ratings.hpp"
#include "matfac/operations.hpp"

using namespace matfac;
using namespace matfac::test;

namespace {

/// How far a sum of F products or of nnz terms may be from the plain loop in double.
template <class T>
constexpr double kTolerance = sizeof(T) == 4 ? 1e-5 : 1e-13;

constexpr Index kFactorCounts[] = {1, 7, 16, 33, 100};

/// A problem, and the plain loops that say what the operations must give.
template <class T>
struct Problem {
  Problem(Index n_users, Index n_items, Index n_factors)
      : ratings(make_ratings<T>(n_users, n_items, 0.3)),
        user_factors(make_factors<T>(n_users, n_factors, 11)),
        item_factors(make_factors<T>(n_items, n_factors, 12)),
        F(n_factors) {}

  MatrixView<T> U() { return as_matrix(user_factors, ratings.n_users, F); }
  MatrixView<T> V() { return as_matrix(item_factors, ratings.n_items, F); }

  /// Calls f(user, item, entry, residual).
  template <class Visit>
  void each(const Visit& f) {
    for (Index n = 0; n < ratings.n_users; ++n) {
      for (Index i = ratings.offsets[n]; i < ratings.offsets[n + 1]; ++i) {
        const Code m = ratings.items[i];
        double estimate = 0;
        for (Index k = 0; k < F; ++k) estimate += static_cast<double>(U().row(n)[k]) * V().row(m)[k];
        f(n, m, i, estimate - static_cast<double>(ratings.values[i]));
      }
    }
  }
  double plain_loss() {
    double sum = 0;
    each([&](Index, Code, Index, double e) { sum += 0.5 * e * e; });
    return sum;
  }

  Ratings<T> ratings;
  std::vector<T> user_factors, item_factors;
  Index F;
};

/// The largest difference, relative to the largest expected entry.
template <class T>
double error(const std::vector<T>& actual, const std::vector<double>& expected) {
  REQUIRE(actual.size() == expected.size());
  double largest = 1e-30, difference = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    REQUIRE(std::isfinite(actual[i]));
    largest = std::max(largest, std::abs(expected[i]));
    difference = std::max(difference, std::abs(static_cast<double>(actual[i]) - expected[i]));
  }
  return difference / largest;
}

template <class T>
std::span<T> whole(std::vector<T>& values) {
  return values;
}

}  // namespace

TEST_CASE_TEMPLATE("residuals and loss are those of the plain loops", T, float, double) {
  for (const Index n_factors : kFactorCounts) {
    Problem<T> p(37, 29, n_factors);
    std::vector<double> expected(p.ratings.items.size());
    p.each([&](Index, Code, Index i, double e) { expected[i] = e; });
    for (const int n_threads : kThreads) {
      std::vector<T> out(expected.size());
      residuals<T>(p.ratings, p.U(), p.V(), out, n_threads);
      CHECK(error(out, expected) <= kTolerance<T>);
      CHECK(loss<T>(p.ratings, p.U(), p.V(), n_threads) == doctest::Approx(p.plain_loss()).epsilon(kTolerance<T>));
      CHECK(loss<T>(p.ratings, p.U(), p.V(), n_threads) == loss<T>(p.ratings, p.U(), p.V(), 1));
    }
  }
}

TEST_CASE_TEMPLATE("gradients are those of the plain loops, with the same bits at any number of threads", T, float,
                   double) {
  for (const Index n_factors : kFactorCounts) {
    Problem<T> p(37, 29, n_factors);
    std::vector<double> du(p.user_factors.size()), dv(p.item_factors.size());
    p.each([&](Index n, Code m, Index, double e) {
      for (Index k = 0; k < n_factors; ++k) {
        du[n * n_factors + k] += e * static_cast<double>(p.V().row(m)[k]);
        dv[m * n_factors + k] += e * static_cast<double>(p.U().row(n)[k]);
      }
    });
    std::vector<T> serial_du, serial_dv;
    for (const int n_threads : kThreads) {
      std::vector<T> actual_du(du.size(), T(99)), actual_dv(dv.size(), T(99));  // to be overwritten
      const double value = gradients<T>(p.ratings, p.U(), p.V(), as_matrix(actual_du, 37, n_factors),
                                        as_matrix(actual_dv, 29, n_factors), n_threads);
      CHECK(value == doctest::Approx(p.plain_loss()).epsilon(kTolerance<T>));
      CHECK(error(actual_du, du) <= kTolerance<T>);
      CHECK(error(actual_dv, dv) <= kTolerance<T>);
      if (n_threads == 1) {
        serial_du = actual_du;
        serial_dv = actual_dv;
      }
      CHECK(actual_du == serial_du);
      CHECK(actual_dv == serial_dv);
    }
  }
}

namespace {

/// Users and items enough for several blocks of the runs, one user who has rated everything (a block of its own) and
/// others who have rated nothing.
template <class T>
Ratings<T> make_uneven_ratings() {
  Ratings<T> ratings = make_ratings<T>(500, 36000, 0.004);
  const Index full = 200;
  Ratings<T> uneven;
  uneven.n_users = ratings.n_users;
  uneven.n_items = ratings.n_items;
  for (Index n = 0; n < ratings.n_users; ++n) {
    for (Index i = ratings.offsets[n]; n != full && n % 50 != 49 && i < ratings.offsets[n + 1]; ++i) {
      uneven.items.push_back(ratings.items[i]);
      uneven.values.push_back(ratings.values[i]);
    }
    for (Index m = 0; n == full && m < ratings.n_items; ++m) {
      uneven.items.push_back(static_cast<Code>(m));
      uneven.values.push_back(static_cast<T>(m % 5));
    }
    uneven.offsets.push_back(static_cast<Index>(uneven.items.size()));
  }
  return uneven;
}

}  // namespace

TEST_CASE_TEMPLATE("gradients with runs have the bits of those without", T, float, double) {
  const Ratings<T> ratings = make_uneven_ratings<T>();
  REQUIRE(ratings.items.size() > 3 * 32768);
  for (const Index n_factors : {Index{1}, Index{33}, Index{64}, Index{200}}) {
    auto U = make_factors<T>(ratings.n_users, n_factors, 3), V = make_factors<T>(ratings.n_items, n_factors, 4);
    const MatrixView<const T> users{U.data(), ratings.n_users, n_factors}, items{V.data(), ratings.n_items, n_factors};
    const auto all = [&](int n_threads, const ItemRuns* runs, Loss loss) {
      std::vector<T> result(U.size() + V.size() + ratings.items.size(), T(99));
      const std::span<T> out(result);
      const double value = gradients<T>(ratings, users, items, {result.data(), ratings.n_users, n_factors},
                                        {result.data() + U.size(), ratings.n_items, n_factors}, n_threads, {loss},
                                        out.subspan(U.size() + V.size()), runs);
      return std::pair(value, std::move(result));
    };
    for (const Loss loss : {Loss::squared, Loss::huber}) {
      const auto without = all(1, nullptr, loss);
      for (const int n_threads : kThreads) {
        const ItemRuns runs(ratings.view(), n_threads);
        CHECK(all(n_threads, &runs, loss) == without);
        CHECK(all(n_threads, nullptr, loss) == without);
      }
    }
    ItemRuns runs(ratings.view());
    auto U_without = U, V_without = V;
    batch_step<T>(ratings, as_matrix(U_without, ratings.n_users, n_factors),
                  as_matrix(V_without, ratings.n_items, n_factors), 0.01);
    batch_step<T>(ratings, as_matrix(U, ratings.n_users, n_factors), as_matrix(V, ratings.n_items, n_factors), 0.01, 2,
                  &runs);
    CHECK(U == U_without);
    CHECK(V == V_without);
  }
}

TEST_CASE_TEMPLATE("runs of many items, most of them without ratings, have the same bits", T, float, double) {
  Ratings<T> ratings = make_ratings<T>(50, 40, 0.3);
  for (Code& item : ratings.items) item = item * 25'000 + 7;
  ratings.n_items = 1'000'000;
  const auto U = make_factors<T>(50, 3, 3), V = make_factors<T>(ratings.n_items, 3, 4);
  const auto all = [&](const ItemRuns* runs) {
    std::vector<T> du(U.size()), dv(V.size());
    gradients<T>(ratings, {U.data(), 50, 3}, {V.data(), ratings.n_items, 3}, as_matrix(du, 50, 3),
                 as_matrix(dv, ratings.n_items, 3), 2, {}, {}, runs);
    return std::pair(std::move(du), std::move(dv));
  };
  const ItemRuns runs(ratings.view());
  CHECK(all(&runs) == all(nullptr));
}

TEST_CASE("a fingerprint of items is the same at every level, and tells any change of one of them") {
  for (const std::size_t n : {1U, 31U, 64U, 65U, 1000U}) {
    std::vector<Code> items(n);
    for (std::size_t i = 0; i < n; ++i) items[i] = static_cast<Code>(3 * i);
    const auto ask = [&] {
      const auto first = levels<float>().front()->fingerprint(items.data(), static_cast<Index>(n));
      for (const auto* level : levels<float>()) CHECK(level->fingerprint(items.data(), static_cast<Index>(n)) == first);
      return first;
    };
    const auto before = ask();
    for (std::size_t i = 0; i < n; i += 1 + n / 40) {
      for (const Code change : {1, 1 << 16, 1 << 30}) {
        items[i] ^= change;
        CHECK(ask() != before);
        items[i] ^= change;
      }
    }
    CHECK(ask() == before);
  }
}

TEST_CASE_TEMPLATE("runs of other items are not used", T, float, double) {
  Ratings<T> ratings = make_uneven_ratings<T>();
  const ItemRuns runs(ratings.view());
  CHECK(runs.matches(ratings.view()));
  const Index F = 5;
  const auto U = make_factors<T>(ratings.n_users, F, 3), V = make_factors<T>(ratings.n_items, F, 4);
  const auto all = [&](const ItemRuns* given) {
    std::vector<T> result(U.size() + V.size());
    gradients<T>(ratings, {U.data(), ratings.n_users, F}, {V.data(), ratings.n_items, F},
                 {result.data(), ratings.n_users, F}, {result.data() + U.size(), ratings.n_items, F}, 2, {}, {}, given);
    return result;
  };
  const auto before = all(&runs);
  // One item in the middle of each user's: to a neighbour where no other rating has it.
  for (Index n = 0; n < ratings.n_users; n += 7) {
    const auto middle = static_cast<std::size_t>((ratings.offsets[n] + ratings.offsets[n + 1]) / 2);
    if (static_cast<Index>(middle) + 1 >= ratings.offsets[n + 1]) continue;
    if (ratings.items[middle] + 1 < ratings.items[middle + 1]) ++ratings.items[middle];
  }
  const auto after = all(&runs);
  CHECK(after != before);
  CHECK(after == all(nullptr));
}

TEST_CASE("results do not go to memory that is read") {
  Problem<float> p(6, 6, 6);
  std::vector<float> du(36), dv(36), e(p.ratings.items.size());
  const auto at = [](std::vector<float>& values) { return as_matrix(values, 6, 6); };
  const auto ask = [&](MatrixView<float> user_gradient, MatrixView<float> item_gradient, std::span<float> derivatives) {
    return refusal(
        [&] { gradients<float>(p.ratings, p.U(), p.V(), user_gradient, item_gradient, 1, {}, derivatives); });
  };
  const auto n = e.size();
  gradients<float>(p.ratings, p.U(), p.V(), at(du), at(dv), 1, {}, e);
  CHECK(contains(ask(at(p.user_factors), at(dv), e), "user_gradient must not share memory with user_factors"));
  CHECK(contains(ask(at(du), at(p.user_factors), e), "item_gradient must not share memory with user_factors"));
  CHECK(contains(ask(at(du), at(du), e), "user_gradient must not share memory with item_gradient"));
  CHECK(contains(ask(at(du), at(dv), std::span(dv).first(n)), "derivatives must not share memory with item_gradient"));
  CHECK(contains(ask(at(du), at(dv), p.ratings.values), "derivatives must not share memory with R"));
  CHECK(contains(refusal([&] { residuals<float>(p.ratings, p.U(), p.V(), std::span(p.item_factors).first(n)); }),
                 "out must not share memory with item_factors"));
  for (const auto& step : {refusal([&] { batch_step<float>(p.ratings, at(du), at(du), 0.1); }),
                           refusal([&] { sgd_epoch<float>(p.ratings, at(du), at(du), 0.1); })}) {
    CHECK(contains(step, "user_factors must not share memory with item_factors"));
  }
}

TEST_CASE("runs of other ratings are refused, and so are runs that were moved from") {
  Problem<float> p(37, 29, 7);
  std::vector<float> du(p.user_factors.size()), dv(p.item_factors.size());
  const auto ask = [&](const ItemRuns& runs) {
    return refusal([&] {
      gradients<float>(p.ratings, p.U(), p.V(), as_matrix(du, 37, 7), as_matrix(dv, 29, 7), 1, {}, {}, &runs);
    });
  };
  const std::string of_others = "the item runs are of other ratings";
  CHECK(contains(ask(ItemRuns(PatternView{})), of_others));
  CHECK(contains(ask(ItemRuns(make_ratings<float>(37, 30, 0.3).view())), of_others));
  CHECK(contains(ask(ItemRuns(make_ratings<float>(37, 29, 0.4).view())), of_others));
  ItemRuns runs(p.ratings.view());
  const ItemRuns taken = std::move(runs);
  CHECK(contains(ask(runs), "moved from"));
  gradients<float>(p.ratings, p.U(), p.V(), as_matrix(du, 37, 7), as_matrix(dv, 29, 7), 1, {}, {}, &taken);
}

TEST_CASE_TEMPLATE("item runs are added as users are, at every level", T, float, double) {
  const std::vector<ItemRun> runs{{1, 3}, {4, 1}, {5, 40}};
  std::vector<LocalRating> ratings{{0, 2}, {3, 0}, {4, 1}, {2, 3}};
  for (std::uint16_t k = 0; k < 40; ++k) ratings.push_back({k, static_cast<std::uint16_t>(4 + k)});
  const auto g = make_factors<T>(1, 44, 5);
  for (Index stride = 64 / sizeof(T); stride <= 1600 / static_cast<Index>(sizeof(T)); stride += 64 / sizeof(T)) {
    const auto users = make_factors<T>(40, stride, 6), before = make_factors<T>(6, stride, 7);
    for (const Kernels<T>* level : levels<T>()) {
      auto actual = before, expected = before;
      std::size_t next = 0;
      for (const ItemRun& run : runs) {
        for (std::uint32_t k = 0; k < run.count; ++k, ++next) {
          level->add_outer(&g[ratings[next].entry], users.data() + ratings[next].user * stride, &run.item, 1, stride,
                           expected.data());
        }
      }
      CHECK(level->add_runs(runs.data(), 3, ratings.data(), g.data(), users.data(), stride, actual.data()) ==
            ratings.data() + ratings.size());
      CHECK(actual == expected);
    }
  }
}

TEST_CASE_TEMPLATE("a batch step moves both sides along the gradients from before the step", T, float, double) {
  Problem<T> p(21, 17, 7);
  std::vector<T> du(p.user_factors.size()), dv(p.item_factors.size());
  gradients<T>(p.ratings, p.U(), p.V(), as_matrix(du, 21, 7), as_matrix(dv, 17, 7));
  std::vector<double> u(du.size()), v(dv.size());
  for (std::size_t i = 0; i < u.size(); ++i) u[i] = static_cast<double>(p.user_factors[i]) - 0.01 * du[i];
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<double>(p.item_factors[i]) - 0.01 * dv[i];
  const double before = p.plain_loss();
  CHECK(batch_step<T>(p.ratings, p.U(), p.V(), 0.01) == doctest::Approx(before).epsilon(kTolerance<T>));
  CHECK(error(p.user_factors, u) <= kTolerance<T>);
  CHECK(error(p.item_factors, v) <= kTolerance<T>);
  CHECK(p.plain_loss() < before);
}

TEST_CASE_TEMPLATE("a stochastic epoch is pair gradients in the order that it tells", T, float, double) {
  for (const Index n_factors : kFactorCounts) {
    Problem<T> plain(64, 48, n_factors);
    std::vector<Index> user_of(plain.ratings.items.size());
    plain.each([&](Index n, Code, Index i, double) { user_of[i] = n; });
    const auto order = sgd_order<T>(plain.ratings, 5, 3);
    std::vector<Index> sorted = order, all(order.size());
    std::sort(sorted.begin(), sorted.end());
    std::iota(all.begin(), all.end(), Index{0});
    REQUIRE(sorted == all);
    std::vector<T> du(n_factors), dv(n_factors);
    double expected = 0;
    for (const Index i : order) {
      T* const u = plain.U().row(user_of[i]);
      T* const v = plain.V().row(plain.ratings.items[i]);
      const std::span<const T> u_row(u, n_factors), v_row(v, n_factors);
      const T e = pair_gradients<T>(plain.ratings.values[i], u_row, v_row, whole(du), whole(dv));
      expected += 0.5 * static_cast<double>(e) * e;
      for (Index k = 0; k < n_factors; ++k) {
        CHECK(du[k] == e * v[k]);
        CHECK(dv[k] == e * u[k]);
        u[k] -= static_cast<T>(0.02) * du[k];
        v[k] -= static_cast<T>(0.02) * dv[k];
      }
    }
    const std::vector<double> u(plain.user_factors.begin(), plain.user_factors.end());
    const std::vector<double> v(plain.item_factors.begin(), plain.item_factors.end());
    Problem<T> serial(64, 48, n_factors);
    sgd_epoch<T>(serial.ratings, serial.U(), serial.V(), 0.02, 5, 3, 1);
    for (const int n_threads : kThreads) {
      Problem<T> p(64, 48, n_factors);
      const double value = sgd_epoch<T>(p.ratings, p.U(), p.V(), 0.02, 5, 3, n_threads);
      CHECK(value == doctest::Approx(expected).epsilon(10 * kTolerance<T>));
      CHECK(error(p.user_factors, u) <= 10 * kTolerance<T>);
      CHECK(error(p.item_factors, v) <= 10 * kTolerance<T>);
      CHECK(p.user_factors == serial.user_factors);
      CHECK(p.item_factors == serial.item_factors);
    }
  }
}

TEST_CASE("wrong shapes and numbers are refused by name before any work") {
  Problem<float> p(12, 9, 4);
  const auto before = p.user_factors;
  auto short_users = p.U();
  short_users.rows = 11;
  const MatrixView<float> narrow_items{p.item_factors.data(), 9, 3};
  CHECK(contains(refusal([&] { batch_step<float>(p.ratings, short_users, p.V(), 1); }),
                 "user_factors has shape (11, 4)"));
  CHECK(
      contains(refusal([&] { sgd_epoch<float>(p.ratings, p.U(), narrow_items, 1); }), "item_factors has shape (9, 3)"));
  CHECK(contains(refusal([&] { sgd_epoch<float>(p.ratings, p.U(), p.V(), 1, 0, -1); }),
                 "epoch must be at least 0, not -1"));
  CHECK(contains(refusal([&] { sgd_order<float>(p.ratings, 0, -1); }), "epoch must be at least 0, not -1"));
  CHECK(contains(refusal([&] { loss<float>(p.ratings, p.U(), p.V(), -2); }), "n_threads"));
  std::vector<float> out(p.ratings.items.size() + 1);
  CHECK(contains(refusal([&] { residuals<float>(p.ratings, p.U(), p.V(), out); }), "expected"));
  CHECK(p.user_factors == before);
}

TEST_CASE_TEMPLATE("the kernels of every level agree with plain loops", T, float, double) {
  for (const Index n : {1, 2, 15, 16, 17, 33, 100, 257}) {
    const auto a = make_factors<T>(1, n, 1), b = make_factors<T>(1, n, 2);
    double expected = 0, magnitude = 0;
    for (Index k = 0; k < n; ++k) {
      expected += static_cast<double>(a[k]) * b[k];
      magnitude += std::abs(static_cast<double>(a[k]) * b[k]);
    }
    for (const Kernels<T>* level : levels<T>()) {
      CHECK(std::abs(static_cast<double>(level->dot(a.data(), b.data(), n)) - expected) <= kTolerance<T> * magnitude);
    }
  }
}
