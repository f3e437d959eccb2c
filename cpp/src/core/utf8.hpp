#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace matfac {

/// The number of bytes before the first one that breaks UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing
/// beyond U+10FFFF); `text.size()` when all is well.
std::size_t valid_utf8_prefix(std::string_view text);

/// The code points of valid UTF-8, written to `out` (as many as there are bytes at the most); returns their number.
std::size_t decode_utf8(std::string_view text, char32_t* out);

/// Appends the UTF-8 form of a code point below 0x110000 that is not a surrogate.
void append_utf8(std::string& text, unsigned code_point);

/// A text from a file, fit for a message: without control characters, and cut where a hostile one would not end.
std::string shown(std::string_view text);

}  // namespace matfac
