#pragma once

#include "matfac/fit.hpp"

namespace matfac {

/// Fills the factors with independent normal numbers of standard deviation `init_std` (each row a function of the seed
/// and its number alone) and the biases with zeros.
template <class T>
void initialize(const FactorsView<T>& factors, const Settings& settings);

/// Zeroes the rows of users and items that have no ratings: nothing is known of them, and nothing would move them.
template <class T>
void clear_unrated(const RatingsView<T>& train, const FactorsView<T>& factors);

}  // namespace matfac
