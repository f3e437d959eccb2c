#include <doctest/doctest.h>

#include <map>
#include <numeric>
#include <random>

#include "make_ratings.hpp"
#include "solvers/stochastic/blocks.hpp"

/// Preparing data of a size at which it is cut into buckets, and with codes that do not fit into short keys.

using namespace matfac;
using namespace matfac::test;

namespace {

struct Triplets {
  Index n_users, n_items;
  std::vector<Code> users, items;
  std::vector<double> values;
};

/// Codes spread over all there are; some pairs repeat.
Triplets random_triplets(Index n, Index n_users, Index n_items, Index n_distinct) {
  std::mt19937_64 engine(11);
  std::vector<std::pair<Code, Code>> pairs;
  for (Index i = 0; i < n_distinct; ++i) {
    const auto user = static_cast<Code>(engine() % static_cast<std::uint64_t>(n_users));
    pairs.emplace_back(user, static_cast<Code>(engine() % static_cast<std::uint64_t>(n_items)));
  }
  Triplets triplets{n_users, n_items, {}, {}, {}};
  for (Index i = 0; i < n; ++i) {
    const auto [user, item] = pairs[engine() % pairs.size()];
    triplets.users.push_back(user);
    triplets.items.push_back(item);
    triplets.values.push_back(static_cast<double>(i));
  }
  return triplets;
}

Ratings<double> build(const Triplets& t, Duplicates duplicates, int n_threads) {
  return ratings_from_triplets<double>(t.users, t.items, t.values, t.n_users, t.n_items, duplicates, n_threads);
}

/// Whether the rows are what a map of all pairs makes of the triplets.
bool is_built_from(const Ratings<double>& built, const Triplets& t, Duplicates duplicates) {
  std::map<std::pair<Code, Code>, std::vector<double>> all;
  for (std::size_t i = 0; i < t.users.size(); ++i) all[{t.users[i], t.items[i]}].push_back(t.values[i]);
  if (all.size() != built.items.size() || all.size() != built.values.size()) return false;
  std::size_t at = 0;
  for (const auto& [pair, values] : all) {
    const auto user = static_cast<std::size_t>(pair.first);
    const double sum = std::accumulate(values.begin(), values.end(), 0.0);
    const double expected = duplicates == Duplicates::first  ? values.front()
                            : duplicates == Duplicates::last ? values.back()
                                                             : sum;
    const auto position = static_cast<Index>(at);
    if (position < built.offsets[user] || position >= built.offsets[user + 1]) return false;
    if (built.items[at] != pair.second || built.values[at] != expected) return false;
    ++at;
  }
  return true;
}

template <class T>
bool same(const Ratings<T>& a, const Ratings<T>& b) {
  return a.n_users == b.n_users && a.n_items == b.n_items && a.offsets == b.offsets && a.items == b.items &&
         a.values == b.values;
}

}  // namespace

TEST_CASE("many triplets become rows, and duplicates leave no gaps") {
  struct Shape {
    Index n_users, n_items;
  };
  // Short keys, keys beyond 32 bits, one user, one item.
  for (const Shape shape :
       {Shape{3000, 500}, Shape{70'000, (Index{1} << 31) - 1}, Shape{1, 40'000}, Shape{40'000, 1}}) {
    const Triplets triplets = random_triplets(200'000, shape.n_users, shape.n_items, 150'000);
    for (const Duplicates duplicates : {Duplicates::first, Duplicates::last, Duplicates::sum}) {
      const auto serial = build(triplets, duplicates, 1);
      CHECK(is_built_from(serial, triplets, duplicates));
      for (const int n_threads : {2, 8}) CHECK(same(build(triplets, duplicates, n_threads), serial));
    }
    const std::string text = refusal([&] { build(triplets, Duplicates::error, 2); });
    CHECK(contains(text, "occur "));
  }
}

TEST_CASE("a transpose whose users and items do not fit into one short key") {
  Ratings<float> ratings;
  ratings.n_users = Index{1} << 21;
  ratings.n_items = Index{1} << 23;
  ratings.offsets.assign(static_cast<std::size_t>(ratings.n_users) + 1, 0);
  for (Index n = 0; n < ratings.n_users; ++n) {
    // Every 64th user rates three items; many of them are shared, some lie at the ends.
    if (n % 64 == 63) {
      ratings.items.insert(ratings.items.end(), {static_cast<Code>(n % 1000), static_cast<Code>(4'000'000 + n),
                                                 static_cast<Code>(ratings.n_items - 1)});
      for (const int k : {0, 1, 2}) ratings.values.push_back(static_cast<float>(n + k));
    }
    ratings.offsets[static_cast<std::size_t>(n) + 1] = static_cast<Index>(ratings.items.size());
  }
  validate<float>(ratings);
  const Ratings<float> by_item = transpose<float>(ratings, 1);
  validate<float>(by_item);
  CHECK(by_item.offsets.end()[-1] - by_item.offsets.end()[-2] == ratings.n_users / 64);
  CHECK(same(transpose<float>(by_item, 2), ratings));
  CHECK(same(transpose<float>(ratings, 3), by_item));
}

TEST_CASE("blocks hold every rating once, users in order, whatever the number of threads") {
  const Ratings<double> ratings = make_ratings<double>(700, 300, 0.2);
  {
    const auto blocks = stochastic::make_blocks<double>(ratings, 2.0, 0.5, 9, 1);
    CHECK(blocks.n_rows() > 3);
    CHECK(blocks.offsets.back() == ratings.offsets.back());
    std::map<std::pair<Code, Code>, double> found;
    for (Index block = 0; block < blocks.n_rows() * blocks.n_columns(); ++block) {
      const Index row = block / blocks.n_columns(), column = block % blocks.n_columns();
      const auto b = static_cast<std::size_t>(block);
      for (Index i = blocks.offsets[b]; i < blocks.offsets[b + 1]; ++i) {
        const auto k = static_cast<std::size_t>(i);
        if (i > blocks.offsets[b]) CHECK(blocks.users[k] >= blocks.users[k - 1]);
        const Index user = blocks.user_bounds[static_cast<std::size_t>(row)] + blocks.users[k];
        const Index item = blocks.item_bounds[static_cast<std::size_t>(column)] + blocks.items[k];
        CHECK(user < blocks.user_bounds[static_cast<std::size_t>(row) + 1]);
        CHECK(item < blocks.item_bounds[static_cast<std::size_t>(column) + 1]);
        found[{blocks.user_at[static_cast<std::size_t>(user)], blocks.item_at[static_cast<std::size_t>(item)]}] =
            blocks.values[k];
      }
    }
    CHECK(found.size() == ratings.items.size());
    for (Index n = 0; n < ratings.n_users; ++n) {
      for (Index i = ratings.offsets[static_cast<std::size_t>(n)]; i < ratings.offsets[static_cast<std::size_t>(n) + 1];
           ++i) {
        const auto k = static_cast<std::size_t>(i);
        CHECK(found.at({static_cast<Code>(n), ratings.items[k]}) == (ratings.values[k] - 2.0) * 0.5);
      }
    }
    for (const int n_threads : kThreads) {
      const auto again = stochastic::make_blocks<double>(ratings, 2.0, 0.5, 9, n_threads);
      CHECK(again.user_at == blocks.user_at);
      CHECK(again.item_at == blocks.item_at);
      CHECK(again.offsets == blocks.offsets);
      CHECK(again.users == blocks.users);
      CHECK(again.items == blocks.items);
      CHECK(again.values == blocks.values);
    }
  }
}
