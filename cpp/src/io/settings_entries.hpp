#pragma once

#include "matfac/settings.hpp"

namespace matfac {

struct ModelContents;

/// The settings of the fit in a file, with what it chose itself; those that are not written have their defaults.
/// Throws InvalidArgument, naming the entry and what was expected, for one that no fit has written: a setting, or what
/// a fit leaves behind for Python.
Settings settings_of(const ModelContents& contents);

}  // namespace matfac
