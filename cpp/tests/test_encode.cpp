#include <doctest/doctest.h>

#include <limits>
#include <map>
#include <random>
#include <string>

#include "core/utf8.hpp"
#include "make_ratings.hpp"
#include "matfac/encode.hpp"

using namespace matfac;
using namespace matfac::test;

namespace {

/// The twin: what every encoder must give.
template <class Id>
std::pair<std::vector<Id>, std::vector<Code>> encode_with_a_map(const std::vector<Id>& ids) {
  std::map<Id, Code> code_of;
  for (const Id& id : ids) code_of[id] = 0;
  std::vector<Id> unique;
  for (auto& [id, code] : code_of) {
    code = static_cast<Code>(unique.size());
    unique.push_back(id);
  }
  std::vector<Code> codes;
  for (const Id& id : ids) codes.push_back(code_of[id]);
  return {unique, codes};
}

template <class Int>
void check_integers(const std::vector<Int>& ids) {
  const auto [unique, expected] = encode_with_a_map(std::vector<std::int64_t>(ids.begin(), ids.end()));
  for (const int n_threads : kThreads) {
    std::vector<Code> codes(ids.size());
    CHECK(encode_integers<Int>(ids, codes, n_threads) == unique);
    CHECK(codes == expected);
  }
}

/// A string in units of one width.
struct Text {
  std::string bytes;
  int unit_bytes;
  std::u32string characters;
};

template <class Unit>
Text in_units(const std::u32string& characters) {
  Text text{"", sizeof(Unit), characters};
  for (const char32_t c : characters) {
    const auto unit = static_cast<Unit>(c);
    text.bytes.append(reinterpret_cast<const char*>(&unit), sizeof unit);
  }
  return text;
}

Text in_narrowest_units(const std::u32string& characters) {
  const char32_t widest = characters.empty() ? 0 : *std::max_element(characters.begin(), characters.end());
  if (widest < 0x100) return in_units<std::uint8_t>(characters);
  return widest < 0x10000 ? in_units<std::uint16_t>(characters) : in_units<std::uint32_t>(characters);
}

Text in_utf8(const std::u32string& characters) {
  Text text{"", 1, characters};
  for (const char32_t c : characters) append_utf8(text.bytes, c);
  return text;
}

void read_texts(const void* source, Index begin, Index end, TextView* out) {
  const auto* const texts = static_cast<const Text*>(source);
  for (Index i = begin; i < end; ++i, ++out) {
    *out = {texts[i].bytes.data(), static_cast<Index>(texts[i].bytes.size()) / texts[i].unit_bytes,
            texts[i].unit_bytes};
  }
}

constexpr Index kMaxLength = 20;

/// Encodes in so many pieces.
std::pair<UniqueTexts, std::vector<Code>> encode_texts(const std::vector<Text>& texts, bool is_utf8, int n_threads,
                                                       Index n_pieces = 1) {
  TextEncoder encoder(is_utf8, kMaxLength, n_threads);
  std::vector<Code> codes(texts.size());
  const auto n = static_cast<Index>(texts.size());
  for (Index p = 0; p < n_pieces; ++p) {
    const Index begin = n * p / n_pieces, end = n * (p + 1) / n_pieces;
    const auto piece = std::span(codes).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
    encoder.add({end - begin, texts.data() + begin, read_texts}, piece);
  }
  UniqueTexts unique = encoder.finish(codes);
  return {std::move(unique), std::move(codes)};
}

std::vector<std::u32string> rows_of(const UniqueTexts& unique) {
  std::vector<std::u32string> rows;
  for (Index i = 0; i < unique.count; ++i) {
    const auto* const row = unique.characters.data() + i * unique.width;
    rows.emplace_back(row, row + unique.width);
    while (!rows.back().empty() && rows.back().back() == 0) rows.back().pop_back();
  }
  return rows;
}

/// Few letters of every width and long common beginnings, so that comparisons go deep.
std::vector<std::u32string> random_strings(std::size_t n, std::size_t n_distinct, unsigned seed) {
  const char32_t letters[] = {U'a', U'b', 0, 0x7F, 0x80, 0xFE, 0xFF, 0x100, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF};
  std::mt19937 engine(seed);
  std::vector<std::u32string> distinct(n_distinct);
  for (auto& text : distinct) {
    text = std::u32string(engine() % 3 * 5, U'x');
    const std::size_t length = engine() % 6;
    for (std::size_t i = 0; i < length; ++i) text += letters[engine() % (engine() % 2 ? 2 : std::size(letters))];
    if (!text.empty() && text.back() == 0) text.back() = U'z';
  }
  std::vector<std::u32string> strings;
  for (std::size_t i = 0; i < n; ++i) strings.push_back(distinct[engine() % n_distinct]);
  return strings;
}

}  // namespace

TEST_CASE_TEMPLATE("integers are numbered by rank", Int, std::int32_t, std::int64_t) {
  using Limits = std::numeric_limits<Int>;
  check_integers<Int>({});
  check_integers<Int>({5});
  check_integers<Int>({Limits::max(), 0, Limits::min(), -1, 0, Limits::max()});
  std::mt19937_64 engine(3);
  for (const std::uint64_t range : {10ull, 30'000ull, 1'000'000'000ull}) {
    std::vector<Int> ids(70'000);
    for (Int& id : ids) id = static_cast<Int>(static_cast<std::int64_t>(engine() % range) - 17);
    check_integers(ids);
  }
}

TEST_CASE("integers that differ in some bits only are kept apart") {
  std::vector<std::int64_t> ids;
  for (int shift = 0; shift < 64; ++shift) {
    for (int repeat = 0; repeat < 2; ++repeat) ids.push_back(static_cast<std::int64_t>(std::uint64_t{1} << shift));
  }
  check_integers(ids);
}

TEST_CASE("integers are looked up, by table and by search") {
  const std::vector<std::int64_t> known{-7, -1, 0, 3, 4, 90};
  std::vector<std::int64_t> few{3, 5, -8, 91, std::numeric_limits<std::int64_t>::min(), -7, 90}, many(300);
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = static_cast<std::int64_t>(i) - 100;
  for (const auto& query : {few, many}) {
    std::vector<Code> codes(query.size());
    lookup_integers(known, query, codes);
    for (std::size_t i = 0; i < query.size(); ++i) {
      const auto found = std::find(known.begin(), known.end(), query[i]);
      CHECK(codes[i] == (found == known.end() ? -1 : static_cast<Code>(found - known.begin())));
    }
    lookup_integers({}, query, codes);
    CHECK(std::count(codes.begin(), codes.end(), -1) == static_cast<std::ptrdiff_t>(query.size()));
  }
}

TEST_CASE("strings are numbered by rank, whatever they are made of") {
  for (const std::size_t n_distinct : {1, 40, 9000}) {
    const auto strings = random_strings(n_distinct == 9000 ? 70'000 : 3000, n_distinct, 5);
    const auto [unique, expected] = encode_with_a_map(strings);
    std::vector<Text> narrow, wide, utf8;
    for (const auto& string : strings) {
      narrow.push_back(in_narrowest_units(string));
      wide.push_back(in_units<std::uint32_t>(string));
      utf8.push_back(in_utf8(string));
    }
    for (const int n_threads : kThreads) {
      for (const auto* texts : {&narrow, &wide, &utf8}) {
        const auto [table, codes] = encode_texts(*texts, texts == &utf8, n_threads, n_threads);
        CHECK_FALSE(table.refused);
        CHECK(rows_of(table) == unique);
        CHECK(codes == expected);
      }
    }
  }
}

TEST_CASE("no strings, and empty ones") {
  CHECK(encode_texts({}, true, 1).first.count == 0);
  const auto [table, codes] = encode_texts({in_utf8(U""), in_utf8(U"a"), in_utf8(U"")}, true, 1);
  CHECK(rows_of(table) == std::vector<std::u32string>{U"", U"a"});
  CHECK(codes == std::vector<Code>{0, 1, 0});
}

TEST_CASE("strings that can be no ids are refused") {
  const auto refused = [](const Text& text, bool is_utf8) {
    return encode_texts({in_utf8(U"a"), text}, is_utf8, 1).first.refused;
  };
  const std::u32string with_nul(U"b\0", 2), inner_nul(U"b\0c", 3), longest(kMaxLength, U'\u20AC');
  CHECK(refused(in_narrowest_units(with_nul), false));
  CHECK(refused(in_utf8(with_nul), true));
  CHECK_FALSE(refused(in_utf8(inner_nul), true));
  CHECK(refused(in_narrowest_units(U"b" + std::u32string(1, char32_t{0xD800})), false));
  CHECK(refused(in_units<std::uint32_t>(std::u32string(1, char32_t{0x110000})), false));
  CHECK(refused({"\xC3", 1, U""}, true));
  CHECK(refused({"\xED\xA0\x80", 1, U""}, true));
  CHECK_FALSE(refused(in_utf8(longest), true));
  CHECK_FALSE(refused(in_narrowest_units(longest), false));
  CHECK(refused(in_utf8(longest + U"x"), true));
  CHECK(refused(in_narrowest_units(longest + U"x"), false));
  CHECK(refused(in_utf8(std::u32string(100'000, U'x')), true));
}

TEST_CASE("codes of another length are refused") {
  std::vector<Code> codes(2);
  const std::vector<std::int64_t> ids{1, 2, 3};
  CHECK(contains(refusal([&] { encode_integers<std::int64_t>(ids, codes); }), "codes has 2 entries, expected 3"));
  CHECK(contains(refusal([&] { lookup_integers(ids, ids, codes); }), "codes has 2 entries, expected 3"));
  TextEncoder encoder(true, kMaxLength);
  CHECK(contains(refusal([&] { encoder.add({3, nullptr, read_texts}, codes); }), "codes has 2 entries, expected 3"));
}
