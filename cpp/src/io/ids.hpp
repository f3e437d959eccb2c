#pragma once

#include <string_view>

#include "matfac/model_file.hpp"

namespace matfac {

/// Throws InvalidArgument unless the offsets of string ids lie within their text and never fall, so that following them
/// is safe. `name` is "user_ids" or "item_ids". O(size); integers need no such check.
void check_id_offsets(std::string_view name, const IdsView& ids);

/// Throws InvalidArgument unless ids are strictly ascending and strings are UTF-8. Reads all of them; the offsets have
/// been checked.
void check_ids(std::string_view name, const IdsView& ids);

}  // namespace matfac
