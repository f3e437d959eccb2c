#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace matfac {

/// A finite double, bit for bit, as C's and Python's hexadecimal notation with all 13 digits: "-0x1.8000000000000p+1"
/// is -3. Written and read by ourselves because `printf` and `strtod` follow the locale and differ between systems.
std::string hex_float(double value);

/// The inverse. Nothing for a text that `hex_float` would not have written.
std::optional<double> parse_hex_float(std::string_view text);

}  // namespace matfac
