#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "make_ratings.hpp"
#include "matfac/metrics.hpp"
#include "matfac/model.hpp"

using namespace matfac;
using namespace matfac::test;

namespace {

double of(const std::vector<double>& measures, Index row, RankingMeasure measure) {
  return measures[static_cast<std::size_t>(row * kRankingMeasures + static_cast<Index>(measure))];
}

/// A model without biases, what is relevant, and what was seen; entries of the factors are quarters, so that scores are
/// exact and often equal.
template <class T>
struct Task {
  Task(Index users, Index items, Index n_factors)
      : n_users(users),
        n_items(items),
        user_factors(quarters(users * n_factors, 1)),
        item_factors(quarters(items * n_factors, 2)),
        relevant(make_ratings<T>(users, items, 0.1, 3)),
        seen(make_ratings<T>(users, items, 0.3, 4)),
        model{{user_factors.data(), users, n_factors}, {item_factors.data(), items, n_factors}, {}, {}, 0} {
    for (Index u = 0; u < users; ++u) everybody.push_back(static_cast<Code>(u));
  }

  static std::vector<T> quarters(Index n, unsigned seed) {
    std::vector<T> values = make_factors<T>(n, 1, seed);
    for (T& value : values) value = std::round(4 * value) / 4;
    return values;
  }

  double score(Index user, Index item) const {
    double sum = 0;
    for (Index f = 0; f < model.user_factors.cols; ++f)
      sum += static_cast<double>(model.user_factors.row(user)[f]) *
             static_cast<double>(model.item_factors.row(item)[f]);
    return sum;
  }
  static bool has(const PatternView& pattern, Index user, Index item) {
    return std::binary_search(pattern.items + pattern.offsets[user], pattern.items + pattern.offsets[user + 1],
                              static_cast<Code>(item));
  }

  double plain_auc(Index user) const {
    double wins = 0, pairs = 0;
    for (Index i = 0; i < n_items; ++i) {
      if (has(seen.view(), user, i) || !has(relevant.view(), user, i)) continue;
      for (Index j = 0; j < n_items; ++j) {
        if (has(seen.view(), user, j) || has(relevant.view(), user, j)) continue;
        wins += score(user, i) > score(user, j) ? 1 : score(user, i) == score(user, j) ? 0.5 : 0;
        pairs += 1;
      }
    }
    return pairs == 0 ? std::numeric_limits<double>::quiet_NaN() : wins / pairs;
  }

  Index n_users, n_items;
  std::vector<T> user_factors, item_factors;
  Ratings<T> relevant, seen;
  ModelView<T> model;
  std::vector<Code> everybody;
};

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

}  // namespace

TEST_CASE("the measures of a list, by hand") {
  const std::vector<Code> lists{4, 0, -1, 2, 7, 7 - 4, 6, 5, 0, 1, 2, 3};
  const std::vector<Index> offsets{0, 3, 4, 4};
  const std::vector<Code> items{0, 2, 5, 9};
  const PatternView relevant{3, 10, offsets.data(), items.data()};
  std::vector<double> measures(3 * kRankingMeasures, -1);
  ranking_measures({lists.data(), 3, 4}, relevant, as_matrix(measures, 3, kRankingMeasures));

  // Hits at ranks 2 and 4, of three relevant items.
  CHECK(of(measures, 0, RankingMeasure::precision) == 0.5);
  CHECK(of(measures, 0, RankingMeasure::recall) == doctest::Approx(2.0 / 3));
  CHECK(of(measures, 0, RankingMeasure::hit_rate) == 1);
  CHECK(of(measures, 0, RankingMeasure::reciprocal_rank) == 0.5);
  CHECK(of(measures, 0, RankingMeasure::average_precision) == doctest::Approx((1.0 / 2 + 2.0 / 4) / 3));
  const double ideal = 1 + 1 / std::log2(3.0) + 0.5;
  CHECK(of(measures, 0, RankingMeasure::ndcg) == doctest::Approx((1 / std::log2(3.0) + 1 / std::log2(5.0)) / ideal));
  for (Index m = 0; m < kRankingMeasures; ++m) {
    CHECK(measures[static_cast<std::size_t>(kRankingMeasures + m)] == 0);
    CHECK(std::isnan(measures[static_cast<std::size_t>(2 * kRankingMeasures + m)]));
  }
  const auto means = mean_measures(as_matrix(measures, 3, kRankingMeasures));
  CHECK(means.size() == static_cast<std::size_t>(kRankingMeasures));
  CHECK(means[0] == 0.25);  // of the two who have something relevant
  CHECK(std::isnan(mean_measures({nullptr, 0, 1})[0]));
}

TEST_CASE_TEMPLATE("an evaluation measures what is recommended", T, float, double) {
  const Task<T> task(83, 140, 7);
  const std::vector<Code> users{82, 3, 40, 0, 41};
  const Index n = 9, n_users = 5;
  std::vector<double> measures(static_cast<std::size_t>(n_users * kRankingMeasures));
  std::vector<Index> times(140, 0);
  const PatternView seen = task.seen.view();
  evaluate_recommendations<T>(task.model, users, n, task.relevant.view(), &seen,
                              as_matrix(measures, n_users, kRankingMeasures), times);

  std::vector<Index> expected_times(140, 0);
  for (Index i = 0; i < n_users; ++i) {
    const Code user = users[static_cast<std::size_t>(i)];
    std::vector<Code> row, right;
    for (Index m = 0; m < 140; ++m) {
      if (Task<T>::has(seen, user, m)) row.push_back(static_cast<Code>(m));
      if (!Task<T>::has(seen, user, m) && Task<T>::has(task.relevant.view(), user, m))
        right.push_back(static_cast<Code>(m));
    }
    const std::vector<Index> offsets{0, static_cast<Index>(row.size())}, ends{0, static_cast<Index>(right.size())};
    const PatternView own{1, 140, offsets.data(), row.data()}, wanted{1, 140, ends.data(), right.data()};
    std::vector<Code> list(static_cast<std::size_t>(n));
    std::vector<T> scores(static_cast<std::size_t>(n));
    recommend<T>(task.model, {&user, 1}, n, &own, as_matrix(list, 1, n), as_matrix(scores, 1, n));
    for (const Code item : list) ++expected_times[static_cast<std::size_t>(item)];
    std::vector<double> expected(kRankingMeasures);
    ranking_measures({list.data(), 1, n}, wanted, as_matrix(expected, 1, kRankingMeasures));
    for (Index m = 0; m < kRankingMeasures; ++m)
      CHECK(same(measures[static_cast<std::size_t>(i * kRankingMeasures + m)], expected[static_cast<std::size_t>(m)]));
  }
  CHECK(times == expected_times);
}

TEST_CASE_TEMPLATE("auc is the share of ordered pairs", T, float, double) {
  const Task<T> task(230, 150, 3);  // more users than are taken together
  const PatternView seen = task.seen.view();
  std::vector<double> areas(230);
  ranking_auc<T>(task.model, task.everybody, task.relevant.view(), &seen, areas);
  for (Index u = 0; u < 230; ++u) {
    const double expected = task.plain_auc(u), found = areas[static_cast<std::size_t>(u)];
    CHECK((std::isnan(expected) ? std::isnan(found) : found == doctest::Approx(expected).epsilon(1e-14)));
  }
}

TEST_CASE_TEMPLATE("measures have the same bits at any number of threads", T, float, double) {
  const Task<T> task(1500, 90, 5);
  const PatternView seen = task.seen.view();
  std::vector<double> first;
  for (const int n_threads : kThreads) {
    std::vector<double> all(1500 * (kRankingMeasures + 1));
    const MatrixView<double> measures{all.data(), 1500, kRankingMeasures};
    std::vector<Index> times(90, 0);
    evaluate_recommendations<T>(task.model, task.everybody, 6, task.relevant.view(), &seen, measures, times, n_threads);
    ranking_auc<T>(task.model, task.everybody, task.relevant.view(), &seen,
                   std::span<double>(all).subspan(1500 * kRankingMeasures), n_threads);
    for (const double mean : mean_measures(measures, n_threads)) all.push_back(mean);
    for (const Index count : times) all.push_back(static_cast<double>(count));
    if (first.empty()) first = all;
    CHECK(std::equal(all.begin(), all.end(), first.begin(), first.end(), same));
  }
}

TEST_CASE("an evaluation refuses what does not fit together") {
  const Task<float> task(6, 9, 2);
  const PatternView relevant = task.relevant.view();
  std::vector<double> out(6 * kRankingMeasures);
  const auto run = [&](std::span<const Code> users, const PatternView& right, const PatternView* seen) {
    evaluate_recommendations<float>(task.model, users, 3, right, seen, as_matrix(out, 6, kRankingMeasures), {});
  };
  run(task.everybody, relevant, nullptr);
  const std::vector<Code> unknown{0, 1, 2, 6, 4, 5};
  CHECK(contains(refusal([&] { run(unknown, relevant, nullptr); }), "user code 6 at position 3"));
  CHECK(contains(refusal([&] { run({unknown.data(), 2}, relevant, nullptr); }), "measures has shape (6, 6)"));
  PatternView other = relevant;
  other.n_items = 8;
  CHECK(contains(refusal([&] { run(task.everybody, other, nullptr); }), "relevant has shape (6, 8)"));
  CHECK(contains(refusal([&] { run(task.everybody, relevant, &other); }), "seen has shape (6, 8)"));
  const std::vector<Index> offsets{0, 2, 2, 2, 2, 2, 2};
  const std::vector<Code> items{4, 3};
  const PatternView unordered{6, 9, offsets.data(), items.data()};
  CHECK(contains(refusal([&] { run(task.everybody, unordered, nullptr); }), "item code 3 at entry 1 (user code 0)"));
}
