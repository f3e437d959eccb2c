#pragma once

#include <concepts>
#include <string>
#include <string_view>

#include "matfac/error.hpp"

namespace matfac {

namespace detail {

// Out of line and without streams, which would take a good part of the compile time. No locale has a say.
void append(std::string& text, std::string_view part);
void append(std::string& text, char part);
void append(std::string& text, long long part);
void append(std::string& text, unsigned long long part);
void append(std::string& text, double part);  // nine digits at most

template <class Part>
void append_part(std::string& text, const Part& part) {
  if constexpr (std::convertible_to<const Part&, std::string_view>) {
    append(text, std::string_view(part));
  } else if constexpr (std::same_as<Part, char>) {
    append(text, part);
  } else if constexpr (std::floating_point<Part>) {
    append(text, static_cast<double>(part));
  } else if constexpr (std::signed_integral<Part>) {
    append(text, static_cast<long long>(part));
  } else {
    static_assert(std::unsigned_integral<Part>);
    append(text, static_cast<unsigned long long>(part));
  }
}

}  // namespace detail

/// The arguments one after the other, as text: `message("row ", 3, " is empty")`.
template <class... Parts>
std::string message(const Parts&... parts) {
  std::string text;
  (detail::append_part(text, parts), ...);
  return text;
}

/// Throws InvalidArgument with the message made of `parts` unless `holds`.
template <class... Parts>
void require(bool holds, const Parts&... parts) {
  if (!holds) [[unlikely]] {
    throw InvalidArgument(message(parts...));
  }
}

}  // namespace matfac
