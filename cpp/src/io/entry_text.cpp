#include "io/entry_text.hpp"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#if !defined(__cpp_lib_to_chars) && defined(__APPLE__)
#include <xlocale.h>
#endif

namespace matfac::entry_text {
namespace {

constexpr std::string_view kSpace = " \t\n\r";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::size_t count_digits(std::string_view text) {
  std::size_t n = 0;
  while (n < text.size() && is_digit(text[n])) ++n;
  return n;
}

/// The nearest double, infinite beyond the largest. The text is a number of JSON.
double nearest_double(std::string_view text) {
  double value = 0;
#ifdef __cpp_lib_to_chars
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  // Too large and too small are one error, and the value is left alone: tell them apart by the sign of the exponent.
  if (error == std::errc::result_out_of_range) {
    const std::size_t exponent = text.find_first_of("eE");
    const bool is_small = exponent != std::string_view::npos && text.substr(exponent + 1, 1) == "-";
    value = is_small || text.substr(text[0] == '-').substr(0, 2) == "0." ? 0 : std::numeric_limits<double>::infinity();
  }
#else  // libc++ before version 20
  static const locale_t c_locale = ::newlocale(LC_ALL_MASK, "C", nullptr);
  value = ::strtod_l(std::string(text).c_str(), nullptr, c_locale);
#endif
  return value;
}

template <class V>
void read_integer(std::string_view text, V& value) {
  text = trimmed(text);
  V result{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result);
  const bool is_whole = is_json_number(text) && error == std::errc() && end == text.data() + text.size();
  require(is_whole, "expected an integer in [", std::numeric_limits<V>::min(), ", ", std::numeric_limits<V>::max(),
          "]");
  value = result;
}

}  // namespace

bool is_json_number(std::string_view text) {
  const auto skip = [&](std::string_view any_of) {
    const bool found = !text.empty() && any_of.find(text[0]) != std::string_view::npos;
    if (found) text.remove_prefix(1);
    return found;
  };
  skip("-");
  const std::size_t whole = count_digits(text);
  if (whole == 0 || (whole > 1 && text[0] == '0')) return false;
  text.remove_prefix(whole);
  if (skip(".")) {
    const std::size_t fraction = count_digits(text);
    if (fraction == 0) return false;
    text.remove_prefix(fraction);
  }
  if (skip("eE")) {
    skip("+-");
    const std::size_t exponent = count_digits(text);
    if (exponent == 0) return false;
    text.remove_prefix(exponent);
  }
  return text.empty();
}

std::string text_of(bool value) { return value ? "true" : "false"; }

std::string text_of(double value) {
  require(std::isfinite(value), "a setting is not a finite number");
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  std::string text(digits, end);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string text_of(const PerSide& value) { return message('[', text_of(value.user), ", ", text_of(value.item), ']'); }

void read(std::string_view text, bool& value) {
  text = trimmed(text);
  require(text == "true" || text == "false", "expected true or false");
  value = text == "true";
}

void read(std::string_view text, int& value) { read_integer(text, value); }
void read(std::string_view text, Index& value) { read_integer(text, value); }
void read(std::string_view text, std::uint64_t& value) { read_integer(text, value); }

void read(std::string_view text, double& value) {
  text = trimmed(text);
  require(is_json_number(text), "expected a number");
  const double result = nearest_double(text);
  require(std::isfinite(result), "expected a finite number");
  value = result;
}

void read(std::string_view text, PerSide& value) {
  text = trimmed(text);
  if (text.substr(0, 1) != "[") {
    read(text, value.user);
    value.item = value.user;
    return;
  }
  const std::size_t comma = text.find(',');
  require(comma != std::string_view::npos && text.back() == ']', "expected a number or [user, item]");
  PerSide result;
  read(text.substr(1, comma - 1), result.user);
  read(text.substr(comma + 1, text.size() - comma - 2), result.item);
  value = result;
}

}  // namespace matfac::entry_text
