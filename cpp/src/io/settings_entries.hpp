#pragma once

#include <map>
#include <string>

#include "matfac/settings.hpp"

namespace matfac {

/// The settings among a record's entries; those that are missing keep what they are in `settings`, and what a fit has
/// found ("regularization_") wins over what it was asked for. Throws InvalidArgument, naming the entry.
void read_settings(const std::map<std::string, std::string>& metadata, Settings& settings);

}  // namespace matfac
