#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace matfac {

/// XXH64 with seed 0, fed piece by piece.
///
/// Chosen because it is 64 bits wide, published with test vectors and present in every language, and needs only 64-bit
/// multiplications and rotations: the same number on every processor without special instructions, at the speed of
/// memory rather than of the disk. It guards against accidents, not against forgers; no checksum inside a file could.
class Xxh64 {
 public:
  void update(std::span<const std::byte> bytes);
  std::uint64_t digest() const;

 private:
  static constexpr std::size_t kStripe = 32;

  std::array<std::uint64_t, 4> lanes_{kPrime1 + kPrime2, kPrime2, 0, 0 - kPrime1};
  std::array<std::byte, kStripe> pending_{};  // what does not fill a stripe yet
  std::size_t n_pending_ = 0;
  std::uint64_t n_bytes_ = 0;

  static constexpr std::uint64_t kPrime1 = 0x9E3779B185EBCA87;
  static constexpr std::uint64_t kPrime2 = 0xC2B2AE3D27D4EB4F;
  static constexpr std::uint64_t kPrime3 = 0x165667B19E3779F9;
  static constexpr std::uint64_t kPrime4 = 0x85EBCA77C2B2AE63;
  static constexpr std::uint64_t kPrime5 = 0x27D4EB2F165667C5;

  static std::uint64_t round(std::uint64_t lane, std::uint64_t word);
  void consume(const std::byte* stripes, std::size_t n_stripes);
};

/// Sixteen lowercase hexadecimal digits, the most significant first.
std::string hex_digits(std::uint64_t value);

}  // namespace matfac
