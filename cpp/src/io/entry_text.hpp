#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "core/message.hpp"
#include "matfac/settings.hpp"

/// Settings as they are written in the metadata of a file: names plainly, all else as JSON. `text_of` gives the text of
/// a value, which is what Python's `json.dumps` gives; `read` reads it and throws InvalidArgument with what was
/// expected. No locale has a say, and doubles come back bit for bit.
namespace matfac::entry_text {

std::string text_of(bool value);
std::string text_of(double value);  ///< finite; the shortest that reads back as the same number, never as an integer
std::string text_of(const PerSide& value);
inline std::string text_of(Solver value) { return std::string(name_of(value)); }
inline std::string text_of(Loss value) { return std::string(name_of(value)); }
inline std::string text_of(RowSolver value) { return std::string(name_of(value)); }
inline std::string text_of(Negatives value) { return std::string(name_of(value)); }

template <class V>
  requires std::is_integral_v<V>
std::string text_of(V value) {
  return message(value);
}

template <class V>
std::string text_of(const std::optional<V>& value) {
  return value ? text_of(*value) : "null";
}

/// Whether the text is a number of JSON (RFC 8259, section 6): no "+1", ".5", "1.", "01", "inf" or "0x1".
bool is_json_number(std::string_view text);

void read(std::string_view text, bool& value);
void read(std::string_view text, int& value);
void read(std::string_view text, Index& value);
void read(std::string_view text, std::uint64_t& value);
void read(std::string_view text, double& value);   ///< finite
void read(std::string_view text, PerSide& value);  ///< one number for both sides, or [user, item]
inline void read(std::string_view text, Solver& value) { value = solver_from_name(text); }
inline void read(std::string_view text, Loss& value) { value = loss_from_name(text); }
inline void read(std::string_view text, RowSolver& value) { value = row_solver_from_name(text); }
inline void read(std::string_view text, Negatives& value) { value = negatives_from_name(text); }

template <class V>
void read(std::string_view text, std::optional<V>& value) {
  if (text == "null") {
    value.reset();
  } else {
    read(text, value.emplace());
  }
}

}  // namespace matfac::entry_text
