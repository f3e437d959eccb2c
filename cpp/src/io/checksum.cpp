#include "io/checksum.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace matfac {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the model file is little-endian and mapped as it lies; this machine is not little-endian");

template <class Word>
std::uint64_t load(const std::byte* bytes) {
  Word word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

}  // namespace

std::uint64_t Xxh64::round(std::uint64_t lane, std::uint64_t word) {
  return std::rotl(lane + word * kPrime2, 31) * kPrime1;
}

void Xxh64::consume(const std::byte* stripes, std::size_t n_stripes) {
  auto [a, b, c, d] = lanes_;  // in registers: four independent chains keep the multiplier busy
  for (std::size_t i = 0; i < n_stripes; ++i, stripes += kStripe) {
    a = round(a, load<std::uint64_t>(stripes));
    b = round(b, load<std::uint64_t>(stripes + 8));
    c = round(c, load<std::uint64_t>(stripes + 16));
    d = round(d, load<std::uint64_t>(stripes + 24));
  }
  lanes_ = {a, b, c, d};
}

void Xxh64::update(std::span<const std::byte> bytes) {
  n_bytes_ += bytes.size();
  if (n_pending_ > 0) {
    const std::size_t n = std::min(kStripe - n_pending_, bytes.size());
    std::copy_n(bytes.begin(), n, pending_.begin() + static_cast<std::ptrdiff_t>(n_pending_));
    n_pending_ += n;
    bytes = bytes.subspan(n);
    if (n_pending_ < kStripe) return;
    consume(pending_.data(), 1);
  }
  const std::size_t n_stripes = bytes.size() / kStripe;
  consume(bytes.data(), n_stripes);
  bytes = bytes.subspan(n_stripes * kStripe);
  std::copy(bytes.begin(), bytes.end(), pending_.begin());
  n_pending_ = bytes.size();
}

std::uint64_t Xxh64::digest() const {
  std::uint64_t hash = kPrime5;
  if (n_bytes_ >= kStripe) {
    const auto [a, b, c, d] = lanes_;
    hash = std::rotl(a, 1) + std::rotl(b, 7) + std::rotl(c, 12) + std::rotl(d, 18);
    for (const std::uint64_t lane : lanes_) hash = (hash ^ round(0, lane)) * kPrime1 + kPrime4;
  }
  hash += n_bytes_;
  const std::byte* rest = pending_.data();
  const std::byte* const end = rest + n_pending_;
  for (; end - rest >= 8; rest += 8) {
    hash = std::rotl(hash ^ round(0, load<std::uint64_t>(rest)), 27) * kPrime1 + kPrime4;
  }
  if (end - rest >= 4) {
    hash = std::rotl(hash ^ (load<std::uint32_t>(rest) * kPrime1), 23) * kPrime2 + kPrime3;
    rest += 4;
  }
  for (; rest != end; ++rest) hash = std::rotl(hash ^ (load<std::uint8_t>(rest) * kPrime5), 11) * kPrime1;
  hash = (hash ^ (hash >> 33)) * kPrime2;
  hash = (hash ^ (hash >> 29)) * kPrime3;
  return hash ^ (hash >> 32);
}

std::string hex_digits(std::uint64_t value) {
  std::string digits(16, '0');
  for (int i = 15; i >= 0; --i, value >>= 4) digits[static_cast<std::size_t>(i)] = "0123456789abcdef"[value & 15];
  return digits;
}

}  // namespace matfac
