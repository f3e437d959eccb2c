#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "kept_runs.hpp"
#include "matfac/error.hpp"
#include "matfac/model.hpp"
#include "matfac/ratings.hpp"
#include "matfac/types.hpp"

/// NumPy arrays as views: nothing is converted or copied here. Arguments are declared `noconvert`, so an array of
/// another dtype or layout does not match the signature; what remains to be checked is the number of dimensions.
namespace matfac::bindings {

namespace py = pybind11;

template <class T>
using Array = py::array_t<T, py::array::c_style>;

inline void require_ndim(const py::array& array, int ndim, const char* name) {
  if (array.ndim() != ndim) {
    throw py::value_error(std::string(name) + " must have " + std::to_string(ndim) + " dimension(s), not " +
                          std::to_string(array.ndim()));
  }
}

template <class T>
MatrixView<const T> matrix(const Array<T>& array, const char* name) {
  require_ndim(array, 2, name);
  return {array.data(), array.shape(0), array.shape(1)};
}

/// A matrix to be written to; a read-only array is refused.
template <class T>
MatrixView<T> mutable_matrix(Array<T>& array, const char* name) {
  require_ndim(array, 2, name);
  return {array.mutable_data(), array.shape(0), array.shape(1)};
}

template <class T>
std::span<const T> vector(const Array<T>& array, const char* name) {
  require_ndim(array, 1, name);
  return {array.data(), static_cast<std::size_t>(array.shape(0))};
}

template <class T>
std::span<T> mutable_vector(Array<T>& array, const char* name) {
  require_ndim(array, 1, name);
  return {array.mutable_data(), static_cast<std::size_t>(array.shape(0))};
}

/// No entries for None.
template <class T>
std::span<const T> vector(const std::optional<Array<T>>& array, const char* name) {
  return array ? vector(*array, name) : std::span<const T>{};
}
template <class T>
std::span<T> mutable_vector(std::optional<Array<T>>& array, const char* name) {
  return array ? mutable_vector(*array, name) : std::span<T>{};
}

/// An array that owns `values`, without a copy.
template <class T>
Array<T> take(std::vector<T>&& values) {
  auto* const owner = new std::vector<T>(std::move(values));
  const py::capsule free(owner, [](void* p) { delete static_cast<std::vector<T>*>(p); });
  return Array<T>(static_cast<py::ssize_t>(owner->size()), owner->data(), free);
}

/// Ratings as Python holds them: the arrays, and the native view of them, checked when it was made.
template <class T>
struct BoundRatings {
  Array<Index> offsets;
  Array<Code> items;
  Array<T> values;
  std::optional<Array<T>> weights;
  RatingsView<T> view;
  std::shared_ptr<KeptRuns> runs = std::make_shared<KeptRuns>();
};

/// Rows of item codes as Python holds them: offsets and items.
using Pattern = std::pair<Array<Index>, Array<Code>>;

inline PatternView pattern_view(const Pattern& pattern, Index n_items, const std::string& name) {
  const auto offsets = vector(pattern.first, "offsets");
  const auto items = vector(pattern.second, "items");
  if (offsets.empty() || offsets.front() != 0 || offsets.back() != static_cast<Index>(items.size())) {
    throw InvalidArgument(name + ": offsets must run from 0 to the number of items, " + std::to_string(items.size()));
  }
  return {static_cast<Index>(offsets.size()) - 1, n_items, offsets.data(), items.data()};
}

template <class T>
ModelView<T> model_view(const Array<T>& user_factors, const Array<T>& item_factors,
                        const std::optional<Array<T>>& user_biases, const std::optional<Array<T>>& item_biases,
                        double global_mean) {
  return {matrix(user_factors, "user_factors"), matrix(item_factors, "item_factors"),
          vector(user_biases, "user_biases"), vector(item_biases, "item_biases"), global_mean};
}

}  // namespace matfac::bindings
