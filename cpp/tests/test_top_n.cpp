#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "core/aligned.hpp"
#include "kernels/kernels.hpp"
#include "levels.hpp"
#include "make_ratings.hpp"
#include "matfac/model.hpp"
#include "model/keep_best.hpp"

using namespace matfac;
using namespace matfac::test;

namespace {

/// Queries and items for the kernels, with what plain loops in double make of them.
template <class T>
struct Scoring {
  static constexpr Index kQueries = 17, kGrouped = 12, kItems = 150;

  explicit Scoring(Index length)
      : n_factors(length),
        users(make_factors<T>(kQueries, n_factors, 1)),
        items(make_factors<T>(kItems, n_factors, 2)),
        bases(make_factors<T>(kQueries, 1, 3)),
        biases(make_factors<T>(kItems, 1, 4)),
        scales(make_factors<T>(kItems, 1, 5)) {
    packed.resize(users.size());
    for (Index q = 0; q < kQueries; ++q) {
      for (Index f = 0; f < n_factors; ++f) {
        const Index place = q < kGrouped ? f * kRankingGroup + q : q * n_factors + f;
        packed[static_cast<std::size_t>(place)] = users[static_cast<std::size_t>(q * n_factors + f)];
      }
    }
  }

  double score(Index q, Index m, bool with_scales) const {
    double sum = static_cast<double>(biases[m]) + static_cast<double>(bases[q]);
    const double scale = with_scales ? static_cast<double>(scales[m]) : 1;
    for (Index f = 0; f < n_factors; ++f)
      sum += static_cast<double>(users[q * n_factors + f]) * scale * items[m * n_factors + f];
    return sum;
  }

  Index n_factors;
  std::vector<T> users, items, bases, biases, scales, packed;
};

}  // namespace

TEST_CASE_TEMPLATE("every level finds the scores above the threshold, and none else", T, float, double) {
  constexpr double kTolerance = sizeof(T) == 4 ? 2e-5 : 1e-13;
  for (const Index n_factors : {1, 2, 3, 7, 16, 33, 100}) {
    Scoring<T> s(n_factors);
    constexpr Index kRoom = 2 * kRankingStrip, kFirst = 22, kEnd = kFirst + 90;  // the second strip is not full
    const T threshold = T(0.25);
    for (const Kernels<T>* level : levels<T>()) {
      for (const bool with_scales : {false, true}) {
        std::vector<T> thresholds(s.kQueries, threshold);
        thresholds[3] = -std::numeric_limits<T>::infinity();
        std::vector<ScoredItem<T>> found(s.kQueries * kRoom);
        std::vector<std::int32_t> counts(s.kQueries, 0);
        AlignedBuffer<T> workspace(level->ranking_workspace(n_factors));
        const RankingBlock<T> block{s.packed.data(),
                                    s.bases.data(),
                                    thresholds.data(),
                                    s.kQueries,
                                    s.kGrouped,
                                    s.items.data(),
                                    s.biases.data(),
                                    with_scales ? s.scales.data() : nullptr,
                                    n_factors,
                                    found.data(),
                                    kRoom,
                                    counts.data(),
                                    workspace.data()};
        for (Index strip = kFirst; strip < kEnd; strip += kRankingStrip) level->score_strip(block, strip, kEnd);
        for (Index q = 0; q < s.kQueries; ++q) {
          Index next = 0;
          for (Index m = kFirst; m < kEnd; ++m) {
            const double expected = s.score(q, m, with_scales);
            const bool is_found = next < counts[q] && found[q * kRoom + next].item == m;
            const double margin = expected - static_cast<double>(thresholds[q]);
            if (std::abs(margin) > kTolerance) CHECK(is_found == (margin > 0));
            if (!is_found) continue;
            CHECK(std::abs(static_cast<double>(found[q * kRoom + next].score) - expected) <=
                  kTolerance * (1 + std::abs(expected)));
            ++next;
          }
          CHECK(next == counts[q]);
        }
        CHECK(counts[3] == kEnd - kFirst);
      }
    }
  }
}

TEST_CASE_TEMPLATE("at every level a pair's score is the ranking's, to the bit", T, float, double) {
  for (const Index n_factors : {1, 3, 16, 33, 100}) {
    Scoring<T> s(n_factors);
    for (const Kernels<T>* level : levels<T>()) {
      const std::vector<T> none(s.kQueries, T(0)), thresholds(s.kQueries, -std::numeric_limits<T>::infinity());
      std::vector<ScoredItem<T>> found(s.kQueries * kRankingStrip);
      std::vector<std::int32_t> counts(s.kQueries, 0);
      AlignedBuffer<T> workspace(level->ranking_workspace(n_factors));
      level->score_strip(
          {s.packed.data(), none.data(), thresholds.data(), s.kQueries, s.kGrouped, s.items.data(), s.biases.data(),
           nullptr, n_factors, found.data(), kRankingStrip, counts.data(), workspace.data()},
          0, s.kItems);
      for (const Index n : {0, 1, 5, 16, 31}) {  // pairs are taken several at a time, the last ones filled up
        std::vector<Code> users, items;
        for (Index i = 0; i < n; ++i) {
          users.push_back(static_cast<Code>(i * 7 % s.kQueries));
          items.push_back(static_cast<Code>(i * 11 % kRankingStrip));
        }
        std::vector<T> out(users.size() + 1, T(-77));
        level->pair_scores(s.users.data(), s.items.data(), s.biases.data(), n_factors, users.data(), items.data(), n,
                           out.data());
        for (Index i = 0; i < n; ++i) CHECK(out[i] == found[users[i] * kRankingStrip + items[i]].score);
        CHECK(out.back() == T(-77));
      }
    }
  }
}

TEST_CASE_TEMPLATE("at every level a query alone gets the scores that it gets among others, to the bit", T, float,
                   double) {
  for (const Index n_factors : {1, 2, 3, 7, 16, 33, 64, 100}) {
    Scoring<T> s(n_factors);
    for (const Kernels<T>* level : levels<T>()) {
      for (const bool with_scales : {false, true}) {
        for (const Index end : {1, 15, 16, 63, 64, 65, 150}) {
          const std::vector<T> thresholds(s.kQueries, -std::numeric_limits<T>::infinity());
          AlignedBuffer<T> workspace(level->ranking_workspace(n_factors));
          const auto score = [&](const T* queries, const T* bases, Index n_queries, Index n_grouped, Index room) {
            std::vector<ScoredItem<T>> found(static_cast<std::size_t>(n_queries * room));
            std::vector<std::int32_t> counts(static_cast<std::size_t>(n_queries), 0);
            const RankingBlock<T> block{queries,
                                        bases,
                                        thresholds.data(),
                                        n_queries,
                                        n_grouped,
                                        s.items.data(),
                                        s.biases.data(),
                                        with_scales ? s.scales.data() : nullptr,
                                        n_factors,
                                        found.data(),
                                        room,
                                        counts.data(),
                                        workspace.data()};
            for (Index strip = 0; strip < end; strip += kRankingStrip) level->score_strip(block, strip, end);
            for (const std::int32_t count : counts) CHECK(count == end);
            return found;
          };
          constexpr Index kRoom = s.kItems + kRankingStrip;
          const auto together = score(s.packed.data(), s.bases.data(), s.kQueries, s.kGrouped, kRoom);
          for (const Index q : {Index{0}, s.kGrouped - 1, s.kQueries - 1}) {
            const auto alone = score(s.users.data() + q * n_factors, s.bases.data() + q, 1, 0, kRoom);
            for (Index m = 0; m < end; ++m) {
              CHECK(alone[m].item == m);
              CHECK(alone[m].score == together[q * kRoom + m].score);
            }
          }
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("the best are kept as by sorting", T, float, double) {
  std::mt19937 engine(1);
  for (const int n_values : {1, 2, 5, 1000000}) {  // from nothing but ties to hardly any
    for (const Index count : {1, 2, 11, 12, 13, 14, 15, 16, 40, 333}) {
      for (const Index n : {Index{1}, (count + 1) / 2, std::max<Index>(1, count - 1), count}) {
        std::uniform_int_distribution<int> value(1, n_values);
        std::vector<ScoredItem<T>> entries;
        for (Index i = 0; i < count; ++i) entries.push_back({static_cast<T>(value(engine)), static_cast<Code>(i)});
        if (count % 2 == 0) std::sort(entries.begin(), entries.end(), RanksBefore{});
        if (count % 4 == 0) std::reverse(entries.begin(), entries.end());
        auto expected = entries, spare = entries;
        std::sort(expected.begin(), expected.end(), RanksBefore{});
        keep_best(entries.data(), n, count, spare.data());
        CHECK(entries[n - 1].item == expected[n - 1].item);
        std::sort(entries.begin(), entries.begin() + n, RanksBefore{});
        for (Index i = 0; i < n; ++i) {
          CHECK(entries[i].item == expected[i].item);
          CHECK(entries[i].score == expected[i].score);
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("a ranking of no items, no queries, unknown users", T, float, double) {
  const std::vector<T> factors{1, 2, 3, 4}, biases{T(0.5), T(-0.5)};
  ModelView<T> model{{factors.data(), 2, 2}, {factors.data(), 2, 2}, biases, biases, 3};
  std::vector<Code> items(6, -7);
  std::vector<T> scores(6, 0);
  recommend<T>(model, {}, 3, nullptr, as_matrix(items, 0, 3), as_matrix(scores, 0, 3));
  CHECK(items == std::vector<Code>(6, -7));

  const std::vector<Code> users{-1, 1};
  recommend<T>(model, users, 3, nullptr, as_matrix(items, 2, 3), as_matrix(scores, 2, 3));
  CHECK(items == std::vector<Code>{0, 1, -1, 1, 0, -1});
  CHECK(scores[0] == T(3.5));
  CHECK(scores[3] == 3 * 3 + 4 * 4 + T(-0.5) + T(2.5));

  similar_items<T>(model, users, 3, as_matrix(items, 2, 3), as_matrix(scores, 2, 3));
  CHECK(items == std::vector<Code>{-1, -1, -1, 0, -1, -1});

  model.item_factors = {nullptr, 0, 2};
  model.item_biases = {};
  model.user_biases = {};
  recommend<T>(model, users, 3, nullptr, as_matrix(items, 2, 3), as_matrix(scores, 2, 3));
  CHECK(items == std::vector<Code>(6, -1));
  CHECK(scores == std::vector<T>(6, -std::numeric_limits<T>::infinity()));
}
