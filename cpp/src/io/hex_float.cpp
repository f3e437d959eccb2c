#include "io/hex_float.hpp"

#include <bit>
#include <cstdint>

#include "io/checksum.hpp"

namespace matfac {
namespace {

constexpr int kMantissaBits = 52;
constexpr int kMantissaDigits = kMantissaBits / 4;
constexpr int kBias = 1023;

// The digits from the front of `text`, at most four; nothing when there are none or another character follows.
std::optional<int> parse_digits(std::string_view text) {
  if (text.empty() || text.size() > 4) return std::nullopt;
  int value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

std::optional<std::uint64_t> parse_hex(std::string_view text) {
  std::uint64_t value = 0;
  for (const char c : text) {
    const bool is_digit = c >= '0' && c <= '9';
    if (!is_digit && (c < 'a' || c > 'f')) return std::nullopt;
    value = value << 4 | static_cast<std::uint64_t>(is_digit ? c - '0' : c - 'a' + 10);
  }
  return value;
}

}  // namespace

std::string hex_float(double value) {
  const auto bits = std::bit_cast<std::uint64_t>(value);
  const std::uint64_t mantissa = bits & ((std::uint64_t{1} << kMantissaBits) - 1);
  const int biased = static_cast<int>(bits >> kMantissaBits & 0x7FF);
  const int exponent = biased == 0 ? 1 - kBias : biased - kBias;  // 0: zero and the subnormal numbers
  std::string text = bits >> 63 != 0 ? "-0x" : "0x";
  text += biased == 0 ? "0." : "1.";
  text += hex_digits(mantissa).substr(16 - kMantissaDigits);
  text += exponent < 0 ? "p" : "p+";
  text += std::to_string(exponent);
  return text;
}

std::optional<double> parse_hex_float(std::string_view text) {
  constexpr std::size_t kPoint = 3;  // in "0x1."
  const std::string_view source = text;
  const bool negative = text.substr(0, 1) == "-";
  if (negative) text.remove_prefix(1);
  const std::size_t p = kPoint + 1 + kMantissaDigits;
  if (text.size() < p + 3 || text[p] != 'p') return std::nullopt;
  const auto mantissa = parse_hex(text.substr(kPoint + 1, kMantissaDigits));
  const auto magnitude = parse_digits(text.substr(p + 2));
  if (!mantissa || !magnitude) return std::nullopt;
  const int exponent = text[p + 1] == '-' ? -*magnitude : *magnitude;
  if (exponent < 1 - kBias || exponent > kBias) return std::nullopt;
  const std::uint64_t biased = text[2] == '0' ? 0 : static_cast<std::uint64_t>(exponent + kBias);
  const double value = std::bit_cast<double>(std::uint64_t{negative} << 63 | biased << kMantissaBits | *mantissa);
  // One check for every other liberty in the text: it must be the one that we write.
  if (hex_float(value) != source) return std::nullopt;
  return value;
}

}  // namespace matfac
