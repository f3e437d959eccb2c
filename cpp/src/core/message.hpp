#pragma once

#include <locale>
#include <sstream>
#include <string>

#include "matfac/error.hpp"

namespace matfac {

/// The arguments one after the other, as text: `message("row ", 3, " is empty")`.
template <class... Parts>
std::string message(const Parts&... parts) {
  std::ostringstream out;
  out.imbue(std::locale::classic());  // the host may have set another one
  out.precision(9);
  (out << ... << parts);
  return out.str();
}

/// Throws InvalidArgument with the message made of `parts` unless `holds`.
template <class... Parts>
void require(bool holds, const Parts&... parts) {
  if (!holds) throw InvalidArgument(message(parts...));
}

}  // namespace matfac
