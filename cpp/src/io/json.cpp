#include "io/json.hpp"

#include <limits>

#include "core/message.hpp"
#include "core/utf8.hpp"

namespace matfac {
namespace {

std::string quoted(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x7F ? message('\'', c, '\'') : message("byte ", static_cast<int>(byte));
}

}  // namespace

void JsonReader::fail(std::string_view what) const {
  throw InvalidArgument(message("the header is not what safetensors allows: at byte ", at_, " of the header, ", what));
}

void JsonReader::fail_duplicate(const String& key) const {
  fail(message("the key \"", shown(key.text), "\" comes twice"));
}

void JsonReader::fail_too_many() const { fail(message("more than ", kMaxEntries, " entries")); }

void JsonReader::skip_space() {
  while (at_ < source_.size() &&
         (source_[at_] == ' ' || source_[at_] == '\t' || source_[at_] == '\n' || source_[at_] == '\r')) {
    ++at_;
  }
}

bool JsonReader::accept(char c) {
  skip_space();
  if (at_ == source_.size() || source_[at_] != c) return false;
  ++at_;
  return true;
}

void JsonReader::expect(char c) {
  if (accept(c)) return;
  fail(message("expected ", quoted(c), ", found ", at_ == source_.size() ? "the end" : quoted(source_[at_])));
}

void JsonReader::end() {
  skip_space();
  if (at_ != source_.size()) fail(message("expected the end, found ", quoted(source_[at_])));
}

std::int64_t JsonReader::integer() {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  const auto is_digit = [&] { return at_ < source_.size() && source_[at_] >= '0' && source_[at_] <= '9'; };
  skip_space();
  if (!is_digit()) fail("expected a non-negative integer");
  if (source_[at_] == '0') {
    ++at_;
    if (is_digit()) fail("an integer begins with 0");
    return 0;
  }
  std::int64_t value = 0;
  for (; is_digit(); ++at_) {
    const std::int64_t digit = source_[at_] - '0';
    if (value > (kMax - digit) / 10) fail("an integer exceeds 2^63 - 1");
    value = value * 10 + digit;
  }
  return value;  // what follows ('.', 'e', ...) is refused by whoever expects ',' or a bracket
}

JsonReader::String JsonReader::string() {
  expect('"');
  String result;
  result.begin = at_;
  for (;;) {
    const std::size_t run = at_;
    while (at_ < source_.size() && source_[at_] != '"' && source_[at_] != '\\' &&
           static_cast<unsigned char>(source_[at_]) >= 0x20) {
      ++at_;
    }
    const std::string_view plain = source_.substr(run, at_ - run);
    const std::size_t valid = valid_utf8_prefix(plain);
    if (valid != plain.size()) {
      at_ = run + valid;
      fail("a string is not valid UTF-8");
    }
    result.text += plain;
    if (at_ == source_.size()) fail("a string does not end");
    if (source_[at_] == '"') break;
    if (source_[at_] != '\\') fail("a string holds a raw control character");
    ++at_;
    read_escape(result.text);
  }
  result.end = at_++;
  return result;
}

void JsonReader::read_escape(std::string& text) {
  if (at_ == source_.size()) fail("a string does not end");
  const char kind = source_[at_++];
  switch (kind) {
    case '"':
    case '\\':
    case '/': text += kind; return;
    case 'b': text += '\b'; return;
    case 'f': text += '\f'; return;
    case 'n': text += '\n'; return;
    case 'r': text += '\r'; return;
    case 't': text += '\t'; return;
    case 'u': break;
    default: fail(message("unknown escape ", quoted(kind)));
  }
  unsigned code_point = read_hex4();
  if (code_point >= 0xD800 && code_point < 0xDC00) {  // the first of a pair
    if (source_.substr(at_, 2) != "\\u") fail("a surrogate stands alone");
    at_ += 2;
    const unsigned low = read_hex4();
    if (low < 0xDC00 || low >= 0xE000) fail("a surrogate stands alone");
    code_point = 0x10000 + ((code_point - 0xD800) << 10) + (low - 0xDC00);
  } else if (code_point >= 0xDC00 && code_point < 0xE000) {
    fail("a surrogate stands alone");
  }
  append_utf8(text, code_point);
}

unsigned JsonReader::read_hex4() {
  unsigned value = 0;
  for (int i = 0; i < 4; ++i, ++at_) {
    const char c = at_ < source_.size() ? source_[at_] : '\0';
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) fail("\\u needs four hexadecimal digits");
    value = value * 16 + static_cast<unsigned>(digit);
  }
  return value;
}

void append_json_string(std::string& json, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  json += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      json += '\\';
      json += c;
    } else if (byte < 0x20) {
      json += "\\u00";
      json += kHex[byte >> 4];
      json += kHex[byte & 15];
    } else {
      json += c;
    }
  }
  json += '"';
}

}  // namespace matfac
