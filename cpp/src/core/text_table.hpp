#pragma once

#include <cstdint>
#include <vector>

#include "core/number_keys.hpp"
#include "matfac/encode.hpp"

namespace matfac {

/// A distinct string in a table: `length` units of 1 << `log_unit` bytes, and its provisional code.
struct TextRecord {
  std::uint64_t shape;  ///< length << 2 | log_unit
  std::uint64_t code;

  Index length() const { return static_cast<Index>(shape >> 2); }
  int log_unit() const { return static_cast<int>(shape & 3u); }
  std::size_t size_bytes() const { return static_cast<std::size_t>(shape >> 2) << log_unit(); }
  const unsigned char* bytes() const { return reinterpret_cast<const unsigned char*>(this + 1); }
  std::uint32_t unit(Index i) const;
};

/// A string as it is sorted: by its units as numbers. Most comparisons are decided by the first units alone.
struct TextKey {
  std::uint64_t prefix = 0;
  const TextRecord* record = nullptr;

  static TextKey of(const TextRecord* record);
  friend bool operator<(const TextKey& a, const TextKey& b);
  friend bool operator==(const TextKey& a, const TextKey& b);
};

/// The distinct strings of one part, in the order of their first appearance: open addressing, linear probing, the
/// strings one after the other in one array. A string of more than `max_units` units counts as empty: there is no use
/// for it beyond knowing how long it was.
class TextTable {
 public:
  explicit TextTable(Index max_units);

  /// Writes the provisional codes of the strings [begin, end) to `codes[begin]` and on.
  void add(const TextColumn& column, Index begin, Index end, Code* codes);

  /// The keys point into the table.
  std::vector<Distinct<TextKey>> distinct(Index part) const;

  /// The units of the longest string added.
  Index longest() const { return longest_; }

 private:
  struct Slot {
    std::uint32_t tag = 0;    // half of the hash; its upper bits are the place
    std::uint32_t place = 0;  // of the record in words; 0: none
  };

  std::size_t first_slot(std::uint32_t tag) const { return tag >> shift_; }
  const TextRecord* record_at(std::uint32_t place) const {
    return reinterpret_cast<const TextRecord*>(words_.data() + place);
  }
  Code code_of(const TextView& text, std::uint64_t shape, std::uint32_t tag);
  void append(const TextView& text, std::uint64_t shape, Slot& slot, std::uint32_t tag);
  void grow();

  Index max_units_;
  std::uint64_t seed_;
  int shift_ = 22;  // 32 - log2(slots)
  std::vector<Slot> slots_;
  std::vector<std::uint64_t> words_;
  std::size_t size_ = 0;
  Index longest_ = 0;
};

}  // namespace matfac
