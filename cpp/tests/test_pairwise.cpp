#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "core/aligned.hpp"
#include "core/random.hpp"
#include "levels.hpp"
#include "make_ratings.hpp"
#include "matfac/fit.hpp"
#include "matfac/metrics.hpp"
#include "matfac/model.hpp"
#include "solvers/pairwise/layout.hpp"
#include "solvers/pairwise/unrated.hpp"

using namespace matfac;
using namespace matfac::test;

namespace {

Settings settings_for(Loss loss) {
  Settings settings;
  settings.solver = Solver::sgd;
  settings.loss = loss;
  settings.n_factors = 5;
  settings.max_iter = 6;
  settings.seed = 3;
  return settings;
}

constexpr Loss kPairwise[] = {Loss::bpr, Loss::warp};

/// How often each of `n` positions is what one of many evenly spaced words stands for.
std::vector<double> shares(const pairwise::Unrated<Code>& unrated, Index n) {
  std::vector<double> counts(static_cast<std::size_t>(n));
  constexpr int kWords = 1 << 16;
  for (std::uint32_t i = 0; i < kWords; ++i) counts[static_cast<std::size_t>(unrated(i << 16))] += 1.0 / kWords;
  return counts;
}

/// Triples of 4 users and 9 items, and rows for them.
template <class T>
struct PairProblem {
  explicit PairProblem(Index n_factors)
      : stride(padded<T>(n_factors)), users_at(4 * stride), items_at(9 * stride), user_rows(4), item_rows(9) {
    const auto u = make_factors<T>(4, stride, 1), v = make_factors<T>(9, stride, 2);
    for (Index i = 0; i < 4 * stride; ++i) users_at[i] = i % stride < n_factors ? u[static_cast<std::size_t>(i)] : T(0);
    for (Index i = 0; i < 9 * stride; ++i) items_at[i] = i % stride < n_factors ? v[static_cast<std::size_t>(i)] : T(0);
    for (auto* rows : {&user_rows, &item_rows}) {
      for (auto& row : *rows) {
        row = {
            .bias = 0, .rate = T(0.1), .shrink = T(0.99), .threshold = 0, .bias_rate = T(0.2), .bias_shrink = T(0.98)};
      }
    }
    for (std::uint32_t i = 0; i < 203; ++i) {
      const Words words = random_words(1, Stream::negatives, 0, i);
      users.push_back(static_cast<std::uint16_t>(to_below(words[0], 4)));
      items.push_back(static_cast<Code>(to_below(words[1], 9)));
      others.push_back(static_cast<Code>((items.back() + 1 + static_cast<Code>(to_below(words[2], 8))) % 9));
    }
  }
  PairBlock<T> block() {
    return {.users = users.data(),
            .items = items.data(),
            .others = others.data(),
            .weights = nullptr,
            .n = static_cast<Index>(users.size()),
            .user_factors = users_at.data(),
            .item_factors = items_at.data(),
            .user_rows = user_rows.data(),
            .item_rows = item_rows.data(),
            .stride = stride,
            .is_plain = true,
            .negative_part = 1};
  }

  Index stride;
  AlignedBuffer<T> users_at, items_at;
  std::vector<SgdRow<T>> user_rows, item_rows;
  std::vector<std::uint16_t> users;
  std::vector<Code> items, others;
};

}  // namespace

TEST_CASE("a word stands for an item that the user has not rated, each for equally many words") {
  for (const std::vector<Code>& rated : {std::vector<Code>{}, {0}, {36}, {0, 1, 2, 5, 6, 30, 36}}) {
    pairwise::Unrated<Code> unrated(37, nullptr, 0);
    unrated.skip(rated.data(), static_cast<Index>(rated.size()));
    const auto found = shares(unrated, 37);
    const double expected = 1.0 / (37.0 - static_cast<double>(rated.size()));
    for (Code m = 0; m < 37; ++m) {
      const bool is_rated = std::find(rated.begin(), rated.end(), m) != rated.end();
      CHECK(found[static_cast<std::size_t>(m)] == doctest::Approx(is_rated ? 0 : expected).epsilon(0.01));
    }
  }
}

TEST_CASE("or in proportion to weights, also within long runs of rated items") {
  std::vector<std::uint64_t> sums;
  std::uint64_t sum = 100;  // what the range before has
  for (std::uint64_t m = 0; m < 60; ++m) sums.push_back(sum += m % 4);
  std::vector<Code> rated;
  double total = 0;
  for (Code m = 0; m < 60; ++m) {
    if (m % 3 == 0) rated.push_back(m);
    if (m % 3 != 0) total += m % 4;
  }
  pairwise::Unrated<Code> unrated(60, sums.data(), 100);
  unrated.skip(rated.data(), static_cast<Index>(rated.size()));
  const auto found = shares(unrated, 60);
  for (Code m = 0; m < 60; ++m) {
    const double expected = m % 3 == 0 ? 0 : m % 4 / total;
    CHECK(found[static_cast<std::size_t>(m)] == doctest::Approx(expected).epsilon(0.01));
  }
}

TEST_CASE("where nothing is left there is nothing to draw") {
  std::vector<Code> all(5);
  std::iota(all.begin(), all.end(), 0);
  pairwise::Unrated<Code> uniform(5, nullptr, 0);
  uniform.skip(all.data(), 4);
  CHECK_FALSE(uniform.empty());
  CHECK(uniform(0xffffffffu) == 4);
  uniform.skip(all.data(), 5);
  CHECK(uniform.empty());
  const std::vector<std::uint64_t> sums{1, 3, 3, 4, 4};
  pairwise::Unrated<Code> weighted(5, sums.data(), 0);
  weighted.skip(all.data(), 4);  // the last has weight 0
  CHECK(weighted.empty());
  CHECK(pairwise::to_below_large(0xffffffffu, std::uint64_t{1} << 40) == (std::uint64_t{1} << 40) - 256);
}

TEST_CASE("each epoch lays out every rating once, by user, and cuts the columns anew") {
  const Ratings<float> ratings = make_ratings<float>(200, 300, 0.2);
  const RatingsView<float> view = ratings;
  Settings settings = settings_for(Loss::bpr);
  pairwise::Layout<float> layout(view, 64, settings);
  REQUIRE(layout.n_columns() > 1);
  std::vector<Code> before;
  for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
    layout.arrange(epoch);
    std::vector<std::pair<Code, Code>> found;
    for (Index row = 0; row < layout.n_rows(); ++row) {
      for (Index column = 0; column < layout.n_columns(); ++column) {
        const auto at = static_cast<std::size_t>(row * layout.n_columns() + column);
        for (auto i = static_cast<std::size_t>(layout.offsets[at]);
             i < static_cast<std::size_t>(layout.offsets[at + 1]); ++i) {
          const Index user = layout.user_bounds[static_cast<std::size_t>(row)] + layout.users[i];
          const Index item = layout.item_bounds[static_cast<std::size_t>(column)] + layout.items[i];
          found.emplace_back(layout.user_at[static_cast<std::size_t>(user)],
                             layout.item_at[static_cast<std::size_t>(item)]);
          if (static_cast<Index>(i) > layout.offsets[at]) {
            CHECK((layout.users[i] > layout.users[i - 1] ||
                   (layout.users[i] == layout.users[i - 1] && layout.items[i] > layout.items[i - 1])));
          }
        }
      }
    }
    std::sort(found.begin(), found.end());
    std::vector<std::pair<Code, Code>> expected;
    for (Index n = 0; n < view.n_users; ++n) {
      for (Index i = view.offsets[n]; i < view.offsets[n + 1]; ++i) {
        expected.emplace_back(static_cast<Code>(n), view.items[i]);
      }
    }
    CHECK(found == expected);
    CHECK(layout.item_at != before);
    before = layout.item_at;
  }
}

TEST_CASE_TEMPLATE("steps side by side give what one after the other gives, at every level", T, float, double) {
  for (const Index n_factors : {1, 7, 16, 33, 100}) {
    for (const Kernels<T>* const level : levels<T>()) {
      PairProblem<T> together(n_factors), alone(n_factors);
      const PairBlock<T> block = together.block();
      const double total = level->block_bpr(block);
      // The same order with blocks of one triple.
      const Index strip = block.n / kSgdStrips;
      double expected = 0;
      for (Index k = 0; k < block.n; ++k) {
        const Index i = k < kSgdStrips * strip ? k % kSgdStrips * strip + k / kSgdStrips : k;
        PairBlock<T> one = alone.block();
        one.users += i;
        one.items += i;
        one.others += i;
        one.n = 1;
        expected += level->block_bpr(one);
      }
      CHECK(total == doctest::Approx(expected).epsilon(1e-12));
      CHECK(
          std::equal(together.users_at.data(), together.users_at.data() + 4 * together.stride, alone.users_at.data()));
      CHECK(
          std::equal(together.items_at.data(), together.items_at.data() + 9 * together.stride, alone.items_at.data()));
      for (std::size_t m = 0; m < 9; ++m) CHECK(together.item_rows[m].bias == alone.item_rows[m].bias);
    }
  }
}

TEST_CASE_TEMPLATE("the first candidate within the margin is found, NaN included", T, float, double) {
  for (const Kernels<T>* const level : levels<T>()) {
    PairProblem<T> problem(7);
    const PairBlock<T> block = problem.block();
    for (Index m = 0; m < 9; ++m) problem.item_rows[static_cast<std::size_t>(m)].bias = static_cast<T>(-100 * (m % 3));
    const Code candidates[] = {1, 2, 4, 3, 5};
    T difference = 0;
    CHECK(level->find_violator(block, 0, 0, candidates, 5, T(1), &difference) == 3);
    CHECK(std::abs(difference) < 50);
    CHECK(level->find_violator(block, 0, 0, candidates, 3, T(1), &difference) == 3);
    problem.item_rows[2].bias = std::numeric_limits<T>::quiet_NaN();
    CHECK(level->find_violator(block, 0, 0, candidates, 5, T(1), &difference) == 1);
  }
}

TEST_CASE("who has rated everything stays where it was, unrated items are ranked below") {
  Ratings<double> train = make_ratings<double>(40, 30, 0.3);
  // User 0 takes all items, so that item 29 has one rating.
  const Index first = train.offsets[1];
  std::vector<Code> items(30);
  std::iota(items.begin(), items.end(), 0);
  items.insert(items.end(), train.items.begin() + first, train.items.end());
  train.items = items;
  for (auto& offset : train.offsets) offset += offset > 0 ? 30 - first : 0;
  train.values.assign(items.size(), 1.0);
  for (const Loss loss : kPairwise) {
    Settings settings = settings_for(loss);
    const Model<double> model = fit<double>(train, settings);
    settings.learning_rate = 1e-9;
    const Model<double> start = fit<double>(train, settings);
    const ModelView<double> now = model, then = start;
    for (Index f = 0; f < 5; ++f) {
      CHECK(now.user_factors.row(0)[f] == then.user_factors.row(0)[f]);
      CHECK(now.user_factors.row(1)[f] != then.user_factors.row(1)[f]);
      CHECK(now.user_factors.row(39)[f] == 0);
    }
    for (const double bias : model.user_biases) CHECK(bias == 0);
    CHECK(model.item_biases[29] < *std::max_element(model.item_biases.begin(), model.item_biases.end()));
    CHECK(model.global_mean == 0);
  }
}

TEST_CASE("comparing users moves their biases") {
  const Ratings<float> train = make_ratings<float>(40, 30, 0.3);
  for (const Loss loss : kPairwise) {
    Settings settings = settings_for(loss);
    settings.compare_users = true;
    const Model<float> model = fit<float>(train, settings);
    CHECK(std::all_of(model.item_biases.begin(), model.item_biases.end(), [](float c) { return c == 0; }));
    CHECK(std::any_of(model.user_biases.begin(), model.user_biases.end(), [](float b) { return b > 0; }));
  }
}

TEST_CASE("pairwise fits stop early, on request and with an error where numbers get out of hand") {
  const Ratings<float> train = make_ratings<float>(60, 50, 0.2, 1), held_out = make_ratings<float>(60, 50, 0.1, 2);
  const RatingsView<float> eval = held_out;
  for (const Loss loss : kPairwise) {
    Settings settings = settings_for(loss);
    settings.early_stopping = true;
    settings.regularization = PerSide{0, 0};
    settings.max_iter = 200;
    const Model<float> model = fit<float>(train, settings, &eval);
    const auto& report = model.report;
    REQUIRE(report.stop_reason == StopReason::early_stopping);
    const auto& best = report.history[static_cast<std::size_t>(report.best_iteration) - 1];
    for (const Iteration& other : report.history) CHECK(best.eval_loss <= other.eval_loss);

    settings.early_stopping = false;
    const Model<float> two = fit<float>(train, settings, nullptr,
                                        [](const Iteration& now) { return now.iteration < 2; });
    CHECK(two.report.stop_reason == StopReason::cancelled);
    CHECK(two.report.n_iter == 2);

    settings.learning_rate = 1e30;
    CHECK_THROWS_AS(fit<float>(train, settings), DivergenceError);
    Ratings<float> zero = train;
    zero.values[3] = 0;
    CHECK(contains(refusal([&] { fit<float>(zero, settings_for(loss)); }), "is not positive"));
  }
}
