#pragma once

#include <memory>
#include <span>

#include "matfac/model.hpp"
#include "matfac/ratings.hpp"
#include "matfac/settings.hpp"

namespace matfac {

/// Finds rows of users who were not in the training; made once for a model. The arguments have been checked, and the
/// rows are zeros. What it is made from outlives it, the settings it copies.
template <class T>
class RowFinder {
 public:
  virtual ~RowFinder() = default;
  virtual void find(const RatingsView<T>& ratings, MatrixView<T> user_factors, std::span<T> user_biases,
                    int n_threads) const = 0;
};

/// The finders of the families: of pairwise losses, of `kullback_leibler` (ccd) and of all others (als).
namespace als {
template <class T>
std::unique_ptr<const RowFinder<T>> row_finder(const ModelView<T>& model, const Settings& settings, int n_threads);
}
namespace ccd {
template <class T>
std::unique_ptr<const RowFinder<T>> row_finder(const ModelView<T>& model, const Settings& settings);
}
namespace pairwise {
template <class T>
std::unique_ptr<const RowFinder<T>> row_finder(const ModelView<T>& model, const Settings& settings);
}

}  // namespace matfac
