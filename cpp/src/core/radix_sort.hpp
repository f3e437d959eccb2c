#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

#include "matfac/types.hpp"

namespace matfac {

/// A stable sort by the lowest `bits` bits of the key, the others being zero, digit by digit from the lowest; it goes
/// to and fro between `entries` and `other` and returns the one that holds the result.
template <class Entry>
Entry* radix_sort(Entry* entries, Entry* other, Index n, int bits) {
  // Two passes for most data, and the counts still stay near.
  constexpr int kDigitBits = 12;
  const auto falls = [](const Entry& a, const Entry& b) { return a.key > b.key; };
  if (std::adjacent_find(entries, entries + n, falls) == entries + n) return entries;
  const int n_digits = (bits + kDigitBits - 1) / kDigitBits;
  const int digit_bits = (bits + n_digits - 1) / n_digits;
  const std::size_t mask = (std::size_t{1} << digit_bits) - 1;
  std::size_t cursors[std::size_t{1} << kDigitBits];
  for (int shift = 0; shift < bits; shift += digit_bits) {
    std::fill_n(cursors, mask + 1, std::size_t{0});
    for (Index i = 0; i < n; ++i) ++cursors[(entries[i].key >> shift) & mask];
    std::size_t position = 0;
    for (std::size_t digit = 0; digit <= mask; ++digit) position += std::exchange(cursors[digit], position);
    for (Index i = 0; i < n; ++i) other[cursors[(entries[i].key >> shift) & mask]++] = entries[i];
    std::swap(entries, other);
  }
  return entries;
}

}  // namespace matfac
