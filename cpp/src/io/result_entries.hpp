#pragma once

#include "io/entries.hpp"
#include "matfac/settings.hpp"

namespace matfac {

/// The class in Python of a model with this loss, as `estimator` names it: for ratings, or for choices.
const char* estimator_of(Loss loss);

/// What a fit has found beside its settings, and the class of the model: Python makes a model of them, C++ reads none,
/// and both refuse the same. Throws InvalidArgument, naming the entry and what was expected.
void check_results(const Entries& metadata, Loss loss);

}  // namespace matfac
