#pragma once

#include <map>
#include <string>

#include "core/message.hpp"
#include "core/utf8.hpp"

namespace matfac {

/// The caller's entries in the metadata of a file.
using Entries = std::map<std::string, std::string>;

/// Calls `read(text)` if there is such an entry. What it refuses is refused with the entry's name and text.
template <class Read>
void with_entry(const Entries& metadata, const std::string& name, const Read& read) {
  const auto found = metadata.find(name);
  if (found == metadata.end()) return;
  try {
    read(found->second);
  } catch (const InvalidArgument& error) {
    throw InvalidArgument(
        message("the metadata entry \"", name, "\" is \"", shown(found->second), "\": ", error.what()));
  }
}

}  // namespace matfac
