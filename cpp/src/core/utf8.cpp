#include "core/utf8.hpp"

namespace matfac {
namespace {

bool is_continuation(unsigned char byte) { return (byte & 0xC0u) == 0x80u; }

// The length of the character at `at`, or 0 when it is malformed.
std::size_t character_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  // 0x80-0xC1: a stray continuation or an overlong pair; 0xF5-0xFF: beyond U+10FFFF.
  if (lead < 0xC2 || lead > 0xF4 || text.size() - at < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if (!is_continuation(byte(i))) return 0;
  }
  if (lead == 0xE0 && byte(1) < 0xA0) return 0;  // overlong
  if (lead == 0xED && byte(1) > 0x9F) return 0;  // surrogates
  if (lead == 0xF0 && byte(1) < 0x90) return 0;  // overlong
  if (lead == 0xF4 && byte(1) > 0x8F) return 0;  // beyond U+10FFFF
  return length;
}

}  // namespace

std::size_t valid_utf8_prefix(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t length = character_length(text, at);
    if (length == 0) break;
    at += length;
  }
  return at;
}

std::size_t decode_utf8(std::string_view text, char32_t* out) {
  char32_t* const first = out;
  for (std::size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const std::size_t length = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    char32_t code_point = length == 1 ? lead : lead & (0x7Fu >> length);
    for (std::size_t i = 1; i < length; ++i) {
      code_point = code_point << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3Fu);
    }
    *out++ = code_point;
    at += length;
  }
  return static_cast<std::size_t>(out - first);
}

void append_utf8(std::string& text, unsigned code_point) {
  const auto continuation = [&](unsigned shift) { text += static_cast<char>(0x80u | ((code_point >> shift) & 0x3Fu)); };
  if (code_point < 0x80) {
    text += static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    text += static_cast<char>(0xC0u | (code_point >> 6));
    continuation(0);
  } else if (code_point < 0x10000) {
    text += static_cast<char>(0xE0u | (code_point >> 12));
    continuation(6);
    continuation(0);
  } else {
    text += static_cast<char>(0xF0u | (code_point >> 18));
    continuation(12);
    continuation(6);
    continuation(0);
  }
}

std::string shown(std::string_view text) {
  constexpr std::size_t kMaxShown = 80;
  std::string result(text.substr(0, kMaxShown));
  result.resize(valid_utf8_prefix(result));
  for (char& c : result) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return result.size() < text.size() ? result + "..." : result;
}

}  // namespace matfac
