#include "matfac/operations.hpp"

#include <optional>

#include "arrays.hpp"
#include "bindings.hpp"
#include "matfac/error.hpp"

namespace matfac::bindings {
namespace {

using namespace py::literals;

template <class T>
void bound_residuals(const BoundRatings<T>& ratings, const Array<T>& user_factors, const Array<T>& item_factors,
                     Array<T> out, int n_threads) {
  const auto users = matrix(user_factors, "user_factors"), items = matrix(item_factors, "item_factors");
  const auto result = mutable_vector(out, "out");
  const py::gil_scoped_release release;
  residuals<T>(ratings.view, users, items, result, n_threads);
}

template <class T>
double bound_loss(const BoundRatings<T>& ratings, const Array<T>& user_factors, const Array<T>& item_factors,
                  int n_threads, const std::string& loss_name, double huber_threshold) {
  const LossFunction function{loss_from_name(loss_name), huber_threshold};
  const auto users = matrix(user_factors, "user_factors"), items = matrix(item_factors, "item_factors");
  const py::gil_scoped_release release;
  return loss<T>(ratings.view, users, items, n_threads, function);
}

template <class T>
double bound_gradients(const BoundRatings<T>& ratings, const Array<T>& user_factors, const Array<T>& item_factors,
                       Array<T> user_gradient, Array<T> item_gradient, int n_threads, const std::string& loss_name,
                       double huber_threshold, std::optional<Array<T>> derivatives) {
  const LossFunction function{loss_from_name(loss_name), huber_threshold};
  const auto users = matrix(user_factors, "user_factors"), items = matrix(item_factors, "item_factors");
  const auto user_out = mutable_matrix(user_gradient, "user_gradient");
  const auto item_out = mutable_matrix(item_gradient, "item_gradient");
  const auto all = derivatives ? mutable_vector(*derivatives, "derivatives") : std::span<T>();
  const py::gil_scoped_release release;
  return gradients<T>(ratings.view, users, items, user_out, item_out, n_threads, function, all,
                      ratings.runs->get(ratings.view, n_threads));
}

template <class T>
T bound_pair_gradients(T rating, const Array<T>& user_row, const Array<T>& item_row, Array<T> user_gradient,
                       Array<T> item_gradient) {
  return pair_gradients<T>(rating, vector(user_row, "user_row"), vector(item_row, "item_row"),
                           mutable_vector(user_gradient, "user_gradient"),
                           mutable_vector(item_gradient, "item_gradient"));
}

template <class T>
double bound_batch_step(const BoundRatings<T>& ratings, Array<T> user_factors, Array<T> item_factors,
                        double learning_rate, int n_threads) {
  const auto users = mutable_matrix(user_factors, "user_factors");
  const auto items = mutable_matrix(item_factors, "item_factors");
  const py::gil_scoped_release release;
  return batch_step<T>(ratings.view, users, items, learning_rate, n_threads,
                       ratings.runs->get(ratings.view, n_threads));
}

template <class T>
double bound_sgd_epoch(const BoundRatings<T>& ratings, Array<T> user_factors, Array<T> item_factors,
                       double learning_rate, std::uint64_t seed, std::int64_t epoch, int n_threads) {
  const auto users = mutable_matrix(user_factors, "user_factors");
  const auto items = mutable_matrix(item_factors, "item_factors");
  const py::gil_scoped_release release;
  return sgd_epoch<T>(ratings.view, users, items, learning_rate, seed, epoch, n_threads);
}

template <class T>
Array<Index> bound_sgd_order(const BoundRatings<T>& ratings, std::uint64_t seed, std::int64_t epoch, int n_threads) {
  std::vector<Index> order;
  {
    const py::gil_scoped_release release;
    order = sgd_order<T>(ratings.view, seed, epoch, n_threads);
  }
  return take(std::move(order));
}

template <class T>
void register_operations_of(py::module_& m) {
  const auto u = "user_factors"_a.noconvert(), v = "item_factors"_a.noconvert();
  m.def("residuals", &bound_residuals<T>, "ratings"_a, u, v, "out"_a.noconvert(), "n_threads"_a);
  m.def("loss", &bound_loss<T>, "ratings"_a, u, v, "n_threads"_a, "loss"_a = "squared", "huber_threshold"_a = 1.0);
  m.def("gradients", &bound_gradients<T>, "ratings"_a, u, v, "user_gradient"_a.noconvert(),
        "item_gradient"_a.noconvert(), "n_threads"_a, "loss"_a = "squared", "huber_threshold"_a = 1.0,
        "derivatives"_a.noconvert() = py::none());
  m.def("pair_gradients", &bound_pair_gradients<T>, "rating"_a, "user_row"_a.noconvert(), "item_row"_a.noconvert(),
        "user_gradient"_a.noconvert(), "item_gradient"_a.noconvert());
  m.def("batch_step", &bound_batch_step<T>, "ratings"_a, u, v, "learning_rate"_a, "n_threads"_a);
  m.def("sgd_epoch", &bound_sgd_epoch<T>, "ratings"_a, u, v, "learning_rate"_a, "seed"_a, "epoch"_a, "n_threads"_a);
  m.def("sgd_order", &bound_sgd_order<T>, "ratings"_a, "seed"_a, "epoch"_a, "n_threads"_a);
}

}  // namespace

void register_operations(py::module_& m) {
  register_operations_of<float>(m);
  register_operations_of<double>(m);
}

}  // namespace matfac::bindings
