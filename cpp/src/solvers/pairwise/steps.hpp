#pragma once

#include <cstdint>

#include "kernels/kernels.hpp"
#include "matfac/settings.hpp"
#include "solvers/pairwise/layout.hpp"
#include "solvers/stochastic/descent.hpp"

namespace matfac::pairwise {

/// A block's steps are taken in portions of this many.
inline constexpr Index kPortion = 2048;

/// The blocks of an epoch, and the rows that they move.
template <class T>
struct Epoch {
  const Layout<T>& layout;
  const RatingsView<T>& ratings;
  const Settings& settings;
  std::int64_t number;
  stochastic::Rows<T>& users;  ///< by position
  stochastic::Rows<T>& items;  ///< by code
};

/// The unit of work: a step for each rating of the block, in order. Returns the sum of the weighted losses, each
/// measured before its step.
template <class T>
double run_block(const Epoch<T>& epoch, Index row, Index column);

}  // namespace matfac::pairwise
