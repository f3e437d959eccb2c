#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "matfac/export.hpp"
#include "matfac/types.hpp"

/// From raw ids to codes. Codes follow the ascending order of the distinct raw ids, so they depend neither on the order
/// of the input nor on the number of threads.
namespace matfac {

/// Numbers integer ids: returns the distinct ones, ascending, and writes the code of each id to `codes` (as many as
/// ids). O(n + d log d) for d distinct ids; the sort of these is left out where the ids lie densely. Memory: 8 bytes an
/// id at the most, and 32 a distinct one. `Int` is std::int32_t or std::int64_t.
template <class Int>
MATFAC_API std::vector<std::int64_t> encode_integers(std::span<const Int> ids, std::span<Code> codes,
                                                     int n_threads = 0);

/// Writes the code of each id of `query` among `known` (ascending, all different) to `codes`, -1 where it is unknown.
MATFAC_API void lookup_integers(std::span<const std::int64_t> known, std::span<const std::int64_t> query,
                                std::span<Code> codes, int n_threads = 0);

/// A string as it lies somewhere: `length` units of `unit_bytes` bytes (1, 2 or 4).
struct TextView {
  const void* data = nullptr;
  Index length = 0;
  int unit_bytes = 1;
};

/// A column of strings that somebody else holds. `read` copies the places of the strings [begin, end) to `out`; it is
/// called from several threads.
///
/// The units are bytes of UTF-8, or else code points, each string in the narrowest units that hold it or all of a
/// column in the same: strings in units of different width count as different.
struct TextColumn {
  Index size = 0;
  const void* source = nullptr;
  void (*read)(const void* source, Index begin, Index end, TextView* out) = nullptr;
};

/// The distinct strings of a column, ascending by code point, as a table of UCS-4 characters.
struct UniqueTexts {
  Index count = 0;
  Index width = 1;                   ///< characters in a row of the table; shorter strings are filled up with NULs
  std::vector<char32_t> characters;  ///< count * width
  /// Some string has no place in such a table, or none in a model file, and there is no table: it ends with a NUL, is
  /// no valid Unicode (a lone surrogate, bytes that are no UTF-8), or is longer than was allowed.
  bool refused = false;
};

/// Numbers strings, column by column. Strings are hashed and compared where they lie; each distinct one is copied once
/// (24 bytes and its own on average), so that a column may go when it has been added.
class MATFAC_API TextEncoder {
 public:
  TextEncoder(bool is_utf8, Index max_length, int n_threads = 0);
  ~TextEncoder();
  TextEncoder(const TextEncoder&) = delete;
  TextEncoder& operator=(const TextEncoder&) = delete;

  /// Writes provisional codes of more strings. O(n), parallel.
  void add(const TextColumn& column, std::span<Code> codes);
  /// Turns the provisional codes of all strings added, in their order, into final ones. O(n + d log d), parallel.
  UniqueTexts finish(std::span<Code> codes);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace matfac
