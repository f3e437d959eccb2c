#include "matfac/ratings.hpp"

#include <pybind11/stl.h>

#include <string>

#include "arrays.hpp"
#include "bindings.hpp"
#include "matfac/error.hpp"

namespace matfac::bindings {
namespace {

using namespace py::literals;

Duplicates duplicates_from_name(const std::string& name) {
  if (name == "error") return Duplicates::error;
  if (name == "first") return Duplicates::first;
  if (name == "last") return Duplicates::last;
  if (name == "mean") return Duplicates::mean;
  if (name == "sum") return Duplicates::sum;
  throw InvalidArgument("unknown duplicates '" + name + "': choose one of 'error', 'first', 'last', 'mean', 'sum'");
}

template <class T>
BoundRatings<T> make(Index n_items, Array<Index> offsets, Array<Code> items, Array<T> values,
                     std::optional<Array<T>> weights) {
  require_ndim(offsets, 1, "offsets");
  require_ndim(items, 1, "items");
  require_ndim(values, 1, "values");
  if (offsets.size() < 1) throw InvalidArgument("offsets must have at least one entry, the 0 that it begins with");
  const Index n_users = offsets.size() - 1;
  RatingsView<T> view{{n_users, n_items, offsets.data(), items.data()}, values.data()};
  if (offsets.data()[0] != 0) {
    throw InvalidArgument("offsets must begin with 0, not " + std::to_string(offsets.data()[0]));
  }
  const Index nnz = offsets.data()[n_users];
  if (items.size() != nnz || values.size() != nnz) {
    throw InvalidArgument("offsets end with " + std::to_string(nnz) + ", but there are " +
                          std::to_string(items.size()) + " items and " + std::to_string(values.size()) +
                          " values: all three must agree");
  }
  if (weights) {
    require_ndim(*weights, 1, "weights");
    if (weights->size() != nnz) {
      throw InvalidArgument("there are " + std::to_string(nnz) + " ratings and " + std::to_string(weights->size()) +
                            " weights: give one for each rating");
    }
    view.weights = weights->data();
  }
  {
    const py::gil_scoped_release release;
    validate(view);
  }
  return {std::move(offsets), std::move(items), std::move(values), std::move(weights), view};
}

template <class T>
py::tuple from_triplets(const Array<Code>& users, const Array<Code>& items, const Array<T>& values, Index n_users,
                        Index n_items, const std::string& duplicates, int n_threads) {
  const auto u = vector(users, "users"), i = vector(items, "items");
  const auto v = vector(values, "values");
  const Duplicates policy = duplicates_from_name(duplicates);
  Ratings<T> ratings;
  Index n_duplicates = 0;
  {
    const py::gil_scoped_release release;
    ratings = ratings_from_triplets(u, i, v, n_users, n_items, policy, n_threads, &n_duplicates);
  }
  BoundRatings<T> bound{
      take(std::move(ratings.offsets)), take(std::move(ratings.items)), take(std::move(ratings.values)), {}, {}};
  bound.view = {{n_users, n_items, bound.offsets.data(), bound.items.data()}, bound.values.data()};
  return py::make_tuple(std::move(bound), n_duplicates);
}

template <class T>
void register_type(py::module_& m, const char* name) {
  using Bound = BoundRatings<T>;
  py::class_<Bound>(m, name, "Checked compressed sparse rows that share the memory of the arrays they were made from.")
      .def(py::init(&make<T>), "n_items"_a, "offsets"_a.noconvert(), "items"_a.noconvert(), "values"_a.noconvert(),
           "weights"_a.noconvert() = py::none())
      .def_property_readonly("offsets", [](const Bound& r) { return r.offsets; })
      .def_property_readonly("items", [](const Bound& r) { return r.items; })
      .def_property_readonly("values", [](const Bound& r) { return r.values; })
      .def_property_readonly("weights", [](const Bound& r) { return r.weights; })
      .def_property_readonly("n_users", [](const Bound& r) { return r.view.n_users; })
      .def_property_readonly("n_items", [](const Bound& r) { return r.view.n_items; })
      .def_property_readonly("nnz", [](const Bound& r) { return r.view.nnz(); });
  m.def("ratings_from_triplets", &from_triplets<T>, "users"_a.noconvert(), "items"_a.noconvert(),
        "values"_a.noconvert(), "n_users"_a, "n_items"_a, "duplicates"_a = "error", "n_threads"_a = 0);
}

}  // namespace

void register_ratings(py::module_& m) {
  register_type<float>(m, "RatingsF32");
  register_type<double>(m, "RatingsF64");
}

}  // namespace matfac::bindings
