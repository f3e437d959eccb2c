#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "core/random.hpp"

using namespace matfac;

// The published vectors of Philox4x32-10 (kat_vectors in the Random123 distribution).
TEST_CASE("philox gives the published words") {
  CHECK(philox(0, {0, 0, 0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const std::uint32_t ones = 0xffffffff;
  CHECK(philox(0xffffffffffffffff, {ones, ones, ones, ones}) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox(0x299f31d0a4093822, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("every part of a number's name changes the number") {
  const Words base = random_words(1, Stream::user_factors, 2, 3);
  CHECK(random_words(1, Stream::user_factors, 2, 3) == base);
  CHECK(random_words(2, Stream::user_factors, 2, 3) != base);
  CHECK(random_words(1 + (std::uint64_t{1} << 32), Stream::user_factors, 2, 3) != base);
  CHECK(random_words(1, Stream::item_factors, 2, 3) != base);
  CHECK(random_words(1, Stream::user_factors, 3, 3) != base);
  CHECK(random_words(1, Stream::user_factors, 2 + (std::uint64_t{1} << 32), 3) != base);
  CHECK(random_words(1, Stream::user_factors, 2, 4) != base);
}

TEST_CASE("draws stay in their range") {
  CHECK(to_uniform(0) > 0);
  CHECK(to_uniform(0xffffffff) < 1);
  for (const std::uint32_t n : {1u, 2u, 7u, 1000000007u, 0xffffffffu}) {
    CHECK(to_below(0, n) == 0);
    CHECK(to_below(0xffffffff, n) == n - 1);
  }
  std::set<std::uint32_t> seen;
  for (std::uint32_t i = 0; i < 200; ++i) seen.insert(to_below(random_words(0, Stream::block_order, 0, i)[0], 7));
  CHECK(seen.size() == 7);
}

TEST_CASE("normal numbers have the moments of the normal distribution") {
  constexpr int kPairs = 100000;
  double sum = 0, squares = 0, fourths = 0, product = 0;
  for (std::uint32_t i = 0; i < kPairs; ++i) {
    const Words words = random_words(42, Stream::user_factors, 0, i);
    const auto [x, y] = to_normals(words[0], words[1]);
    for (const double z : {x, y}) {
      sum += z;
      squares += z * z;
      fourths += z * z * z * z;
    }
    product += x * y;
  }
  // Five standard errors of each mean; the numbers are always the same, so this passes always or never.
  constexpr double kCount = 2.0 * kPairs;
  CHECK(std::abs(sum / kCount) < 5 / std::sqrt(kCount));
  CHECK(std::abs(squares / kCount - 1) < 5 * std::sqrt(2 / kCount));
  CHECK(std::abs(fourths / kCount - 3) < 5 * std::sqrt(96 / kCount));
  CHECK(std::abs(product / kPairs) < 5 / std::sqrt(kPairs));
}

TEST_CASE("the extreme words give finite normal numbers") {
  for (const std::uint32_t a : {0u, 0xffffffffu}) {
    for (const std::uint32_t b : {0u, 0xffffffffu}) {
      const auto [x, y] = to_normals(a, b);
      CHECK(std::isfinite(x));
      CHECK(std::isfinite(y));
    }
  }
}
