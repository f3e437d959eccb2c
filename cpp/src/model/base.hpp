#pragma once

#include "matfac/model.hpp"

namespace matfac {

/// What an estimate is without the product of the factors and without the item's bias: mu + b_n, or mu for the unknown
/// user -1.
template <class T>
T base_of(const ModelView<T>& model, Code user) {
  double base = model.global_mean;
  if (user >= 0 && !model.user_biases.empty())
    base += static_cast<double>(model.user_biases[static_cast<std::size_t>(user)]);
  return static_cast<T>(base);
}

}  // namespace matfac
