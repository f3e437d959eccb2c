#include "core/message.hpp"

#include <charconv>

namespace matfac::detail {
namespace {

template <class... Arguments>
void append_number(std::string& text, Arguments... arguments) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, arguments...).ptr;
  text.append(digits, end);
}

}  // namespace

void append(std::string& text, std::string_view part) { text += part; }
void append(std::string& text, char part) { text += part; }
void append(std::string& text, long long part) { append_number(text, part); }
void append(std::string& text, unsigned long long part) { append_number(text, part); }
void append(std::string& text, double part) { append_number(text, part, std::chars_format::general, 9); }

}  // namespace matfac::detail
