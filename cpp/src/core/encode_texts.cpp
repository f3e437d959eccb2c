#include <algorithm>
#include <atomic>
#include <string_view>

#include "core/text_table.hpp"
#include "core/utf8.hpp"

namespace matfac {
namespace {

std::string_view utf8_of(const TextRecord& record) {
  return {reinterpret_cast<const char*>(record.bytes()), record.size_bytes()};
}

/// The number of code points of a string, or -1 if it has no place in a table or a file; see UniqueTexts.
Index characters_of(const TextRecord& record, bool is_utf8) {
  const Index length = record.length();
  if (length > 0 && record.unit(length - 1) == 0) return -1;
  if (is_utf8) {
    const std::string_view text = utf8_of(record);
    if (valid_utf8_prefix(text) != text.size()) return -1;
    const auto begins_character = [](char c) { return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u; };
    return std::count_if(text.begin(), text.end(), begins_character);
  }
  if (record.log_unit() == 0) return length;
  for (Index i = 0; i < length; ++i) {
    const std::uint32_t unit = record.unit(i);
    if ((unit >= 0xD800 && unit < 0xE000) || unit > 0x10FFFF) return -1;
  }
  return length;
}

void write_characters(const TextRecord& record, bool is_utf8, char32_t* out) {
  if (is_utf8) {
    decode_utf8(utf8_of(record), out);
    return;
  }
  for (Index i = 0; i < record.length(); ++i) out[i] = record.unit(i);
}

}  // namespace

struct TextEncoder::State {
  /// A run of strings, numbered by one table.
  struct Segment {
    Index begin, end, part;
  };
  bool is_utf8;
  Index max_length;
  int n_threads;
  Index size = 0;
  std::vector<TextTable> tables;
  std::vector<Segment> segments;

  /// A string of more units has too many characters, whatever they are.
  Index max_units() const { return is_utf8 ? 4 * max_length : max_length; }
  void add_tables(Index n) {
    while (static_cast<Index>(tables.size()) < n) tables.emplace_back(max_units());
  }
  UniqueTexts to_table(const std::vector<TextKey>& keys) const;
};

TextEncoder::TextEncoder(bool is_utf8, Index max_length, int n_threads)
    : state_(std::make_unique<State>(State{is_utf8, max_length, n_threads, 0, {}, {}})) {
  state_->add_tables(1);
}

TextEncoder::~TextEncoder() = default;

void TextEncoder::add(const TextColumn& column, std::span<Code> codes) {
  State& s = *state_;
  require_length("codes", codes, column.size);
  const Index n = column.size, n_parts = numbering_parts(n, s.n_threads);
  s.add_tables(n_parts);
  parallel_for(n_parts, s.n_threads, [&](Index part, int) {
    s.tables[static_cast<std::size_t>(part)].add(column, n * part / n_parts, n * (part + 1) / n_parts, codes.data());
  });
  for (Index part = 0; part < n_parts; ++part) {
    s.segments.push_back({s.size + n * part / n_parts, s.size + n * (part + 1) / n_parts, part});
  }
  s.size += n;
}

UniqueTexts TextEncoder::finish(std::span<Code> codes) {
  State& s = *state_;
  require_length("codes", codes, s.size);
  UniqueTexts refused;
  refused.refused = true;
  for (const TextTable& table : s.tables) {
    if (table.longest() > s.max_units()) return refused;
  }
  const auto ranking = rank_keys<TextKey>(static_cast<Index>(s.tables.size()), s.n_threads, [&](Index part) {
    return s.tables[static_cast<std::size_t>(part)].distinct(part);
  });
  UniqueTexts result = s.to_table(ranking.keys);
  if (result.refused) return result;
  parallel_for(static_cast<Index>(s.segments.size()), s.n_threads, [&](Index i, int) {
    const State::Segment& segment = s.segments[static_cast<std::size_t>(i)];
    const auto begin = static_cast<std::size_t>(segment.begin), end = static_cast<std::size_t>(segment.end);
    replace_codes(codes.subspan(begin, end - begin), ranking.ranks[static_cast<std::size_t>(segment.part)]);
  });
  return result;
}

UniqueTexts TextEncoder::State::to_table(const std::vector<TextKey>& keys) const {
  constexpr Index kStringsPerChunk = 4096;
  UniqueTexts result;
  result.count = static_cast<Index>(keys.size());
  std::vector<Index> widths(static_cast<std::size_t>(result.count / kStringsPerChunk + 1), 1);
  std::atomic<bool> refused{false};
  parallel_chunks(result.count, kStringsPerChunk, n_threads, [&](Index begin, Index end, int) {
    Index& width = widths[static_cast<std::size_t>(begin / kStringsPerChunk)];
    for (Index i = begin; i < end; ++i) {
      const Index characters = characters_of(*keys[static_cast<std::size_t>(i)].record, is_utf8);
      if (characters < 0) refused.store(true, std::memory_order_relaxed);
      width = std::max(width, characters);
    }
  });
  result.width = *std::max_element(widths.begin(), widths.end());
  result.refused = refused.load() || result.width > max_length;
  if (result.refused) return result;
  result.characters.assign(static_cast<std::size_t>(result.count * result.width), U'\0');
  parallel_chunks(result.count, kStringsPerChunk, n_threads, [&](Index begin, Index end, int) {
    for (Index i = begin; i < end; ++i) {
      write_characters(*keys[static_cast<std::size_t>(i)].record, is_utf8, result.characters.data() + i * result.width);
    }
  });
  return result;
}

}  // namespace matfac
