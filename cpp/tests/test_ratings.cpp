#include <doctest/doctest.h>

#include <limits>
#include <map>
#include <utility>

#include "core/message.hpp"
#include "core/partition.hpp"
#include "make_ratings.hpp"
#include "matfac/ratings.hpp"

using namespace matfac;
using namespace matfac::test;

namespace {

template <class T>
bool same(const Ratings<T>& a, const Ratings<T>& b) {
  return a.n_users == b.n_users && a.n_items == b.n_items && a.offsets == b.offsets && a.items == b.items &&
         a.values == b.values;
}

/// What validate says of good ratings after `change`.
template <class Change>
std::string refusal_after(const Change& change) {
  Ratings<float> ratings = make_ratings<float>(9, 7, 0.5);
  validate<float>(ratings);
  change(ratings);
  return refusal([&] { validate<float>(ratings); });
}

struct Triplets {
  std::vector<Code> users, items;
  std::vector<double> values;

  Ratings<double> build(Duplicates duplicates, int n_threads = 1, Index* n_duplicates = nullptr) const {
    return ratings_from_triplets<double>(users, items, values, 4, 5, duplicates, n_threads, n_duplicates);
  }
};

/// User 2 rated item 3 three times and item 0 once, user 0 item 4 twice, in this order.
const Triplets kTriplets{{2, 0, 2, 2, 0, 2}, {3, 4, 3, 0, 4, 3}, {1, 5, 2, 9, 2, 6}};

}  // namespace

TEST_CASE("well-formed ratings are accepted, empty ones too") {
  validate<double>(make_ratings<double>(40, 30, 0.3));
  validate<float>(Ratings<float>{});
  validate(PatternView{});
  Ratings<float> nobody_rated;
  nobody_rated.n_users = 3;
  nobody_rated.n_items = 0;
  nobody_rated.offsets = {0, 0, 0, 0};
  validate<float>(nobody_rated);
}

TEST_CASE("malformed ratings are refused with value, position and rule") {
  CHECK(contains(refusal_after([](auto& r) { r.offsets[0] = 2; }), "begin with 0, not 2"));
  CHECK(contains(refusal_after([](auto& r) { r.offsets[3] = -1; }), "offsets[3] = -1"));
  CHECK(contains(refusal_after([](auto& r) { r.n_users = -1; }), "n_users must be in [0, 2^31), not -1"));
  CHECK(contains(refusal_after([](auto& r) { r.n_items = Index{1} << 31; }), "not 2147483648"));
  CHECK(contains(refusal_after([](auto& r) { r.items[0] = -1; }), "item code -1 at entry 0 (user code 0)"));
  CHECK(contains(refusal_after([](auto& r) { r.items.back() = 7; }), "item code 7"));
  CHECK(contains(refusal_after([](auto& r) { r.items[1] = r.items[0]; }), "strictly ascending"));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(contains(refusal_after([&](auto& r) { r.values[2] = nan; }), "rating nan at entry 2 (user code 0"));
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(contains(refusal_after([&](auto& r) { r.values[0] = -infinity; }), "rating -inf at entry 0"));
}

TEST_CASE("offsets that overshoot and come back are refused before they are followed") {
  // Without a check of all the offsets first, row 0 would be read far beyond the items.
  const std::vector<Index> offsets{0, Index{1} << 40, 1};
  const std::vector<Code> items{0};
  const std::string text = refusal([&] { validate(PatternView{2, 1, offsets.data(), items.data()}); });
  CHECK(contains(text, "offsets[2] = 1 comes after 1099511627776"));
}

TEST_CASE("triplets become rows, whatever their order") {
  const Ratings<float> expected = make_ratings<float>(53, 31, 0.4);
  std::vector<std::pair<Code, Index>> entries;
  for (Index n = 0; n < expected.n_users; ++n) {
    for (Index i = expected.offsets[n]; i < expected.offsets[n + 1]; ++i) entries.emplace_back(static_cast<Code>(n), i);
  }
  std::shuffle(entries.begin(), entries.end(), std::mt19937(7));
  std::vector<Code> users, items;
  std::vector<float> values;
  for (const auto& [user, i] : entries) {
    users.push_back(user);
    items.push_back(expected.items[i]);
    values.push_back(expected.values[i]);
  }
  for (const int n_threads : kThreads) {
    const auto built = ratings_from_triplets<float>(users, items, values, 53, 31, Duplicates::error, n_threads);
    CHECK(same(built, expected));
    validate<float>(built);
  }
}

TEST_CASE("each policy for duplicate pairs keeps what it says") {
  const std::map<Duplicates, std::vector<double>> expected{
      {Duplicates::first, {5, 9, 1}},
      {Duplicates::last, {2, 9, 6}},
      {Duplicates::mean, {3.5, 9, 3}},
      {Duplicates::sum, {7, 9, 9}},
  };
  for (const auto& [policy, values] : expected) {
    for (const int n_threads : kThreads) {
      Index n_duplicates = -1;
      const Ratings<double> built = kTriplets.build(policy, n_threads, &n_duplicates);
      CHECK(built.offsets == std::vector<Index>{0, 1, 1, 3, 3});
      CHECK(built.items == std::vector<Code>{4, 0, 3});
      CHECK(built.values == values);
      CHECK(n_duplicates == 3);
    }
  }
  CHECK(contains(refusal([] { kTriplets.build(Duplicates::error); }), "user code 0 and item code 4 occur 2 times"));
}

TEST_CASE("bad triplets are refused by position") {
  Triplets t = kTriplets;
  t.users[3] = 4;
  CHECK(contains(refusal([&] { t.build(Duplicates::last); }), "user code 4 at position 3 is out of range"));
  t = kTriplets;
  t.items[5] = -1;
  CHECK(contains(refusal([&] { t.build(Duplicates::last); }), "item code -1 at position 5"));
  t = kTriplets;
  t.values[2] = std::numeric_limits<double>::infinity();
  CHECK(contains(refusal([&] { t.build(Duplicates::last); }), "rating inf at position 2"));
  t = kTriplets;
  t.values.pop_back();
  CHECK(contains(refusal([&] { t.build(Duplicates::last); }), "values has 5 entries, expected 6"));
  t = kTriplets;
  t.values = {1e308, 0, 1e308, 0, 0, 1e308};
  CHECK(contains(refusal([&] { t.build(Duplicates::sum); }), "user code 2 and item code 3 is not finite"));
}

TEST_CASE_TEMPLATE("the transpose lists who rated what, and is its own inverse", T, float, double) {
  const Ratings<T> ratings = make_ratings<T>(61, 23, 0.3);
  const Ratings<T> serial = transpose<T>(ratings, 1);
  validate<T>(serial);
  CHECK(serial.n_users == ratings.n_items);
  CHECK(serial.n_items == ratings.n_users);
  Index n_found = 0;
  for (Index m = 0; m < serial.n_users; ++m) {
    for (Index i = serial.offsets[m]; i < serial.offsets[m + 1]; ++i) {
      const Code user = serial.items[i];
      for (Index j = ratings.offsets[user]; j < ratings.offsets[user + 1]; ++j) {
        n_found += ratings.items[j] == m && ratings.values[j] == serial.values[i];
      }
    }
  }
  CHECK(n_found == static_cast<Index>(ratings.items.size()));
  for (const int n_threads : kThreads) {
    CHECK(same(transpose<T>(ratings, n_threads), serial));
    CHECK(same(transpose<T>(serial, n_threads), ratings));
  }
}

TEST_CASE("the transpose of nothing has the shape turned around") {
  Ratings<float> empty;
  empty.n_users = 2;
  empty.n_items = 3;
  empty.offsets = {0, 0, 0};
  const Ratings<float> result = transpose<float>(empty);
  CHECK(result.n_users == 3);
  CHECK(result.n_items == 2);
  CHECK(result.offsets == std::vector<Index>{0, 0, 0, 0});
}

// 2^31 ratings and more, without the memory: what is computed from sizes and offsets alone.

TEST_CASE("rows of a matrix beyond 2^31 entries lie where they should") {
  float origin = 0;
  const Index rows = Index{1} << 24, cols = 1000;
  const MatrixView<float> matrix{&origin, rows, cols};
  CHECK(matrix.size() == 16777216000);
  const auto distance = reinterpret_cast<std::uintptr_t>(matrix.row(rows - 1)) -
                        reinterpret_cast<std::uintptr_t>(&origin);
  CHECK(distance == static_cast<std::uintptr_t>(rows - 1) * 1000 * sizeof(float));
}

TEST_CASE("offsets beyond 2^31 are counted, checked and cut in 64 bits") {
  const Index unit = Index{1} << 31;
  const std::vector<Index> offsets{0, unit, 3 * unit, 3 * unit + 5, 8 * unit};
  const PatternView pattern{4, 1, offsets.data(), nullptr};
  CHECK(pattern.nnz() == 17179869184);
  const auto bounds = balanced_partition(offsets.data(), 4, 2);
  CHECK(bounds == std::vector<Index>{0, 4});  // the last row outweighs all the others: no cut inside it
  CHECK(balanced_partition(offsets.data(), 4, 4) == std::vector<Index>{0, 2, 4});

  const std::vector<Index> falling{0, 3 * unit, 3 * unit - 1};
  const std::string text = refusal([&] { validate(PatternView{2, 1, falling.data(), nullptr}); });
  CHECK(contains(text, "offsets[2] = 6442450943 comes after 6442450944"));
}

TEST_CASE("a partition covers all rows once, in order, and none of its parts is far too heavy") {
  const Ratings<float> ratings = make_ratings<float>(200, 50, 0.2);
  for (const Index n_parts : {1, 2, 7, 64, 200, 1000}) {
    const auto bounds = balanced_partition(ratings.offsets.data(), ratings.n_users, n_parts);
    REQUIRE(bounds.front() == 0);
    REQUIRE(bounds.back() == ratings.n_users);
    CHECK(static_cast<Index>(bounds.size()) <= n_parts + 1);
    const Index ideal = ratings.offsets.back() / n_parts;
    for (std::size_t p = 0; p + 1 < bounds.size(); ++p) {
      CHECK(bounds[p] < bounds[p + 1]);
      CHECK(ratings.offsets[bounds[p + 1]] - ratings.offsets[bounds[p]] <= ideal + 2 * 50);
    }
  }
  const std::vector<Index> none{0};
  CHECK(balanced_partition(none.data(), 0, 3) == std::vector<Index>{0, 0});
}
