#include "matfac/recommender.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "make_ratings.hpp"
#include "matfac/operations.hpp"
#include "model/keep_best.hpp"

using namespace matfac;
using namespace matfac::test;

namespace {

/// A model of any shape, and questions about it.
template <class T>
struct Task {
  Task(Index users, Index items, Index factors, bool has_biases, unsigned seed = 1)
      : n_users(users),
        n_items(items),
        n_factors(factors),
        U(make_factors<T>(users, factors, seed)),
        V(make_factors<T>(items, factors, seed + 1)),
        b(has_biases ? make_factors<T>(users, 1, seed + 2) : std::vector<T>{}),
        c(has_biases ? make_factors<T>(items, 1, seed + 3) : std::vector<T>{}) {}

  ModelView<T> model() const { return {{U.data(), n_users, n_factors}, {V.data(), n_items, n_factors}, b, c, 3.25}; }

  Index n_users, n_items, n_factors;
  std::vector<T> U, V, b, c;
};

template <class T>
struct Lists {
  Lists(std::size_t n_queries, Index per_query)
      : n(per_query), items(n_queries * static_cast<std::size_t>(n), -7), scores(items.size(), T(-7)) {}
  MatrixView<Code> item_rows() { return as_matrix(items, static_cast<Index>(items.size()) / n, n); }
  MatrixView<T> score_rows() { return as_matrix(scores, static_cast<Index>(items.size()) / n, n); }
  bool operator==(const Lists&) const = default;
  Index n;
  std::vector<Code> items;
  std::vector<T> scores;
};

bool holds(const PatternView* pattern, Index query, Code item) {
  const Index row = pattern->n_users == 1 ? 0 : query;
  return std::binary_search(pattern->items + pattern->offsets[row], pattern->items + pattern->offsets[row + 1], item);
}

/// What `recommend` must find, from `predict` and a sort.
template <class T>
Lists<T> by_sorting(const ModelView<T>& model, const std::vector<Code>& users, Index n, const Filters& filters) {
  Lists<T> lists(users.size(), n);
  for (std::size_t q = 0; q < users.size(); ++q) {
    std::vector<ScoredItem<T>> found;
    for (Code item = 0; item < model.item_factors.rows; ++item) {
      if (filters.exclude != nullptr && holds(filters.exclude, static_cast<Index>(q), item)) continue;
      if (filters.among != nullptr && !holds(filters.among, static_cast<Index>(q), item)) continue;
      T score = 0;
      predict<T>(model, {&users[q], 1}, {&item, 1}, {&score, 1}, 1);
      found.push_back({score, item});
    }
    std::sort(found.begin(), found.end(), RanksBefore{});
    for (Index i = 0; i < n; ++i) {
      const bool is_found = i < static_cast<Index>(found.size());
      lists.item_rows().row(static_cast<Index>(q))[i] = is_found ? found[static_cast<std::size_t>(i)].item : -1;
      lists.score_rows().row(static_cast<Index>(q))[i] = is_found ? found[static_cast<std::size_t>(i)].score
                                                                  : -std::numeric_limits<T>::infinity();
    }
  }
  return lists;
}

Settings settings_of(bool biases) {
  Settings settings;
  settings.biases = biases;
  settings.regularization = PerSide{0.5, 0.5};
  settings.bias_regularization = PerSide{0.25, 0.25};
  return settings;
}

}  // namespace

TEST_CASE_TEMPLATE("recommend finds what sorting the predictions finds, with any filters", T, float, double) {
  for (const Index n_factors : {1, 7, 16, 33, 100}) {
    const Task<T> task(9, 333, n_factors, n_factors != 16);
    const ModelView<T> model = task.model();
    for (const std::vector<Code>& users :
         {std::vector<Code>{4}, {-1}, {0, 8, 3}, {5, 5, -1, 2, 7, 0, 1, 3, 4, 6, 8, 2, 1, 0}}) {
      const auto n_queries = static_cast<Index>(users.size());
      const Ratings<T> own = make_ratings<T>(n_queries, task.n_items, 0.3, 5);
      const Ratings<T> common = make_ratings<T>(2, task.n_items, 0.6, 6);
      const Ratings<T> allowed = make_ratings<T>(n_queries, task.n_items, 0.9, 7);
      const RatingsView<T> each = own, among_each = allowed;
      PatternView same = common.view();
      same.n_users = 1;  // its second row is empty
      for (const Filters& filters : {Filters{}, Filters{&each}, Filters{&same}, Filters{nullptr, &same},
                                     Filters{&each, &same}, Filters{&same, &among_each}}) {
        for (const Index n : {Index{1}, Index{10}, task.n_items + 5}) {
          const Lists<T> expected = by_sorting(model, users, n, filters);
          for (const int n_threads : kThreads) {
            Lists<T> lists(users.size(), n);
            recommend<T>(model, users, n, filters, lists.item_rows(), lists.score_rows(), n_threads);
            CHECK(lists == expected);
          }
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("filters that do not fit are refused by name", T, float, double) {
  const Task<T> task(3, 20, 4, true);
  const std::vector<Code> users{0, 1, 2};
  Lists<T> lists(3, 5);
  const auto ask = [&](const Filters& filters) {
    return refusal([&] { recommend<T>(task.model(), users, 5, filters, lists.item_rows(), lists.score_rows()); });
  };
  const Index offsets[]{0, 1, 2, 2};
  const Code items[]{3, 20};
  const PatternView two_rows{2, 20, offsets, items}, too_wide{3, 21, offsets, items}, beyond{3, 20, offsets, items};
  CHECK(contains(ask({&two_rows}), "exclude has 2 rows"));
  CHECK(contains(ask({nullptr, &two_rows}), "among has 2 rows"));
  CHECK(contains(ask({&too_wide}), "exclude has 21 items, the model has 20"));
  CHECK(contains(ask({nullptr, &beyond}), "among: "));
  CHECK(contains(ask({nullptr, &beyond}), "20"));
  CHECK(lists == Lists<T>(3, 5));
}

TEST_CASE_TEMPLATE("a Recommender answers as the functions do", T, float, double) {
  for (const bool biases : {false, true}) {
    const Task<T> task(6, 150, 17, biases);
    const ModelView<T> model = task.model();
    const Settings settings = settings_of(biases);
    const Recommender<T> recommender(model, &settings);
    CHECK(recommender.model().item_factors.data == task.V.data());
    const std::vector<Code> users{3, -1, 5}, items{149, 0, -1};

    std::vector<T> estimates(3), expected(3);
    recommender.predict(users, items, estimates);
    predict<T>(model, users, items, expected);
    CHECK(estimates == expected);

    const Ratings<T> ratings = make_ratings<T>(3, task.n_items, 0.1);
    const RatingsView<T> given = ratings;
    Lists<T> lists(3, 10), other(3, 10);
    recommender.recommend(users, 10, {&given}, lists.item_rows(), lists.score_rows());
    recommend<T>(model, users, 10, {&given}, other.item_rows(), other.score_rows());
    CHECK(lists == other);

    recommender.similar_items(items, 10, lists.item_rows(), lists.score_rows());
    similar_items<T>(model, items, 10, other.item_rows(), other.score_rows());
    CHECK(lists == other);

    std::vector<T> u(3 * 17), b(biases ? 3 : 0), v(u.size()), d(b.size());
    recommender.fold_in(given, as_matrix(u, 3, 17), b);
    fold_in<T>(model, settings, given, as_matrix(v, 3, 17), d);
    CHECK(u == v);
    CHECK(b == d);

    for (const int n_threads : kThreads) {
      recommender.recommend_new(given, 10, {&given}, lists.item_rows(), lists.score_rows(), n_threads);
      recommend<T>(model.with_users(as_matrix(u, 3, 17), b), std::vector<Code>{0, 1, 2}, 10, {&given},
                   other.item_rows(), other.score_rows());
      CHECK(lists == other);
    }
  }
}

TEST_CASE_TEMPLATE("a Recommender refuses what it cannot answer from", T, float, double) {
  Task<T> task(2, 5, 3, true);
  const Recommender<T> without(task.model());
  const Ratings<T> ratings = make_ratings<T>(1, 5, 0.5);
  Lists<T> lists(1, 2);
  CHECK(contains(refusal([&] { without.recommend_new(ratings, 2, {}, lists.item_rows(), lists.score_rows()); }),
                 "without settings"));
  const Settings settings = settings_of(false), open;
  CHECK(contains(refusal([&] { Recommender<T>(task.model(), &settings); }), "does not agree with the model"));
  CHECK(contains(refusal([&] { Recommender<T>(task.model(), &open); }), "regularization"));
  task.V[7] = std::numeric_limits<T>::quiet_NaN();
  CHECK(contains(refusal([&] { Recommender<T>(task.model()); }), "row 2, column 1"));
  task.V[7] = 0;
  task.c[4] = std::numeric_limits<T>::infinity();
  CHECK(contains(refusal([&] { Recommender<T>(task.model()); }), "entry 4"));
}

TEST_CASE("models are exchanged under load: every answer is one model's or the other's") {
  struct Holder {
    explicit Holder(unsigned seed) : task(40, 500, 16, true, seed), settings(settings_of(true)) {
      recommender.emplace(task.model(), &settings, 1);
    }
    Task<float> task;
    Settings settings;
    std::optional<Recommender<float>> recommender;
  };
  const std::vector<Code> users{7};
  const Ratings<float> visitor = make_ratings<float>(1, 500, 0.05);
  const RatingsView<float> given = visitor;
  const auto answer = [&](const Recommender<float>& recommender) {
    Lists<float> lists(1, 10), other(1, 10), third(1, 10);
    recommender.recommend(users, 10, {}, lists.item_rows(), lists.score_rows());
    recommender.recommend_new(given, 10, {&given}, other.item_rows(), other.score_rows());
    recommender.similar_items(users, 10, third.item_rows(), third.score_rows());
    lists.items.insert(lists.items.end(), other.items.begin(), other.items.end());
    lists.items.insert(lists.items.end(), third.items.begin(), third.items.end());
    lists.scores.insert(lists.scores.end(), other.scores.begin(), other.scores.end());
    return lists;
  };
  const Lists<float> of_a = answer(*Holder(1).recommender), of_b = answer(*Holder(50).recommender);
  REQUIRE(!(of_a == of_b));

  std::mutex exchanging;
  std::shared_ptr<const Holder> current = std::make_shared<const Holder>(1);
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0}, asked{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!done.load() || asked.load() < 100) {
        const std::shared_ptr<const Holder> model = [&] {
          const std::lock_guard<std::mutex> lock(exchanging);
          return current;
        }();
        const Lists<float> lists = answer(*model->recommender);
        if (!(lists == of_a) && !(lists == of_b)) ++wrong;
        ++asked;
      }
    });
  }
  for (unsigned i = 0; i < 40; ++i) {
    std::shared_ptr<const Holder> next = std::make_shared<const Holder>(i % 2 == 0 ? 50 : 1);
    const std::lock_guard<std::mutex> lock(exchanging);
    current.swap(next);
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  CHECK(wrong == 0);
  CHECK(asked >= 100);
}

TEST_CASE("what was moved from says so") {
  const Task<float> task(4, 6, 3, true);
  const Settings settings = settings_of(true);
  const auto ratings = make_ratings<float>(2, 6, 0.5);
  const RatingsView<float> view = ratings;
  Recommender<float> recommender(task.model(), &settings);
  FoldIn<float> folder(task.model(), settings);
  const Recommender<float> kept = std::move(recommender);
  const FoldIn<float> kept_folder = std::move(folder);
  std::vector<Code> users{0, 1};
  std::vector<float> out(2), rows(6), biases(2);
  Lists<float> lists(2, 3);
  const MatrixView<float> factors{rows.data(), 2, 3};
  const auto ask = [&](const Recommender<float>& of, const FoldIn<float>& with) {
    CHECK_NOTHROW(of.model());
    of.predict(users, users, out);
    of.recommend(users, 3, {}, lists.item_rows(), lists.score_rows());
    of.similar_items(users, 3, lists.item_rows(), lists.score_rows());
    of.fold_in(view, factors, biases);
    of.recommend_new(view, 3, {}, lists.item_rows(), lists.score_rows());
    with(view, factors, biases);
  };
  ask(kept, kept_folder);
  CHECK_THROWS_WITH_AS(recommender.model(), doctest::Contains("moved from"), InvalidArgument);
  CHECK_THROWS_AS(recommender.predict(users, users, out), InvalidArgument);
  CHECK_THROWS_AS(recommender.recommend(users, 3, {}, lists.item_rows(), lists.score_rows()), InvalidArgument);
  CHECK_THROWS_AS(recommender.similar_items(users, 3, lists.item_rows(), lists.score_rows()), InvalidArgument);
  CHECK_THROWS_AS(recommender.fold_in(view, factors, biases), InvalidArgument);
  CHECK_THROWS_AS(recommender.recommend_new(view, 3, {}, lists.item_rows(), lists.score_rows()), InvalidArgument);
  CHECK_THROWS_AS(folder(view, factors, biases), InvalidArgument);
  recommender = kept;  // and may be used again
  folder = kept_folder;
  ask(recommender, folder);
}

TEST_CASE("owners that were moved from are refused before their memory is looked for") {
  Ratings<float> ratings = make_ratings<float>(5, 6, 0.5);
  Settings settings;
  settings.n_factors = 3;
  settings.max_iter = 1;
  Model<float> model = fit<float>(ratings, settings);
  const Ratings<float> kept_ratings = std::move(ratings);
  const Model<float> kept = std::move(model);
  const std::vector<Code> users{0, 1};
  std::vector<float> out(2);
  Lists<float> lists(2, 3);
  CHECK_THROWS_AS(fit<float>(ratings, settings), InvalidArgument);
  CHECK_THROWS_AS(rmse<float>(kept, ratings), InvalidArgument);
  CHECK_THROWS_AS(loss<float>(ratings, kept.view().user_factors, kept.view().item_factors), InvalidArgument);
  for (const ModelView<float>& view : {model.view(), kept.view().with_users(model.view().user_factors, out)}) {
    CHECK_THROWS_AS(predict<float>(view, users, users, out), InvalidArgument);
    CHECK_THROWS_AS(recommend<float>(view, users, 3, Filters{}, lists.item_rows(), lists.score_rows()),
                    InvalidArgument);
    CHECK_THROWS_AS(Recommender<float>{view}, InvalidArgument);
  }
}
