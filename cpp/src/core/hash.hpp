#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

/// A fast 64-bit hash: fasthash64 by Zilong Tan (2012), with a loader of short strings that makes no branch a byte.
/// Whoever finds two equal hashes compares what was hashed.
namespace matfac {

inline constexpr std::uint64_t kHashFactor = 0x880355f21e6d1965ull;

template <class Word>
std::uint64_t load_word(const unsigned char* bytes) {
  Word word;
  std::memcpy(&word, bytes, sizeof(Word));
  return word;
}

/// Up to seven bytes in one word, each at its own place; `size` is at least 1.
inline std::uint64_t load_tail(const unsigned char* bytes, std::size_t size) {
  if (size >= 4) {
    return load_word<std::uint32_t>(bytes) | load_word<std::uint32_t>(bytes + size - 4) << 8 * (size - 4);
  }
  return std::uint64_t{bytes[0]} | std::uint64_t{bytes[size / 2]} << 8 * (size / 2) |
         std::uint64_t{bytes[size - 1]} << 8 * (size - 1);
}

inline std::uint64_t mix(std::uint64_t h) {
  h ^= h >> 23;
  h *= 0x2127599bf4325c37ull;
  h ^= h >> 47;
  return h;
}

/// The hash of `size` bytes. All its bits are good, the upper and the lower ones alike.
inline std::uint64_t hash_bytes(const unsigned char* bytes, std::size_t size, std::uint64_t seed) {
  std::uint64_t h = seed ^ (size * kHashFactor);
  for (; size >= 8; bytes += 8, size -= 8) h = (h ^ mix(load_word<std::uint64_t>(bytes))) * kHashFactor;
  if (size > 0) h = (h ^ mix(load_tail(bytes, size))) * kHashFactor;
  return mix(h);
}

inline std::uint64_t hash_integer(std::int64_t number, std::uint64_t seed) {
  return mix((seed ^ mix(static_cast<std::uint64_t>(number))) * kHashFactor);
}

inline bool equal_bytes(const unsigned char* a, const unsigned char* b, std::size_t size) {
  for (; size >= 8; a += 8, b += 8, size -= 8) {
    if (load_word<std::uint64_t>(a) != load_word<std::uint64_t>(b)) return false;
  }
  return size == 0 || load_tail(a, size) == load_tail(b, size);
}

/// A seed that differs from process to process where the system places memory at random, so that nobody can prepare
/// keys that collide. Results must not depend on it.
inline std::uint64_t hash_seed(const void* somewhere) {
  return mix(static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(somewhere)) ^ kHashFactor);
}

}  // namespace matfac
