#pragma once

#include <array>
#include <cstdint>

/// Counter-based random numbers: the n-th number of a stream is a function of (seed, stream, n), so any thread can draw
/// any of them and the result is the same.
///
/// J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw: Parallel Random Numbers: As Easy as 1, 2, 3. SC 2011
/// (Philox4x32-10).
namespace matfac {

/// What a stream of numbers is for; streams of the same seed are independent.
enum class Stream : std::uint32_t {
  user_factors = 1,
  item_factors,
  user_order,
  item_order,
  block_order,
  column_order,        ///< pairwise: the items of an epoch's grid columns
  negatives,           ///< pairwise: what the users have not rated
  held_out_negatives,  ///< the same beside held-out ratings
  others,              ///< pairwise: the sample that a new user's choices are compared with
};

using Words = std::array<std::uint32_t, 4>;

/// Four random words for `counter`.
inline Words philox(std::uint64_t seed, Words counter) {
  std::uint32_t key0 = static_cast<std::uint32_t>(seed);
  std::uint32_t key1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key0, static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key1, static_cast<std::uint32_t>(product0)};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

/// The words number `index` of `stream`, in its substream `part` (a row, an epoch).
inline Words random_words(std::uint64_t seed, Stream stream, std::uint64_t part, std::uint32_t index) {
  return philox(seed, {index, static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(part),
                       static_cast<std::uint32_t>(part >> 32)});
}

/// Uniform in the open interval (0, 1), 32 bits.
inline double to_uniform(std::uint32_t word) { return (static_cast<double>(word) + 0.5) * 0x1p-32; }

/// Two independent standard normal numbers from two words (Box and Muller 1958).
std::array<double, 2> to_normals(std::uint32_t word0, std::uint32_t word1);

/// A draw from {0, ..., n - 1}, n >= 1, from one word (multiply and shift; bias below n / 2^32).
inline std::uint32_t to_below(std::uint32_t word, std::uint32_t n) {
  return static_cast<std::uint32_t>((std::uint64_t{word} * n) >> 32);
}

}  // namespace matfac
