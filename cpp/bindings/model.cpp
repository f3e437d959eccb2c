#include "matfac/model.hpp"

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "bindings.hpp"
#include "matfac/error.hpp"

namespace matfac::bindings {
namespace {

using namespace py::literals;

template <class T>
using Biases = std::optional<Array<T>>;

template <class T>
void bound_predict(const Array<T>& user_factors, const Array<T>& item_factors, const Biases<T>& user_biases,
                   const Biases<T>& item_biases, double global_mean, const Array<Code>& users, const Array<Code>& items,
                   Array<T> out, int n_threads) {
  const auto model = model_view(user_factors, item_factors, user_biases, item_biases, global_mean);
  const auto u = vector(users, "users"), i = vector(items, "items");
  const auto result = mutable_vector(out, "out");
  const py::gil_scoped_release release;
  predict<T>(model, u, i, result, n_threads);
}

template <class T>
double bound_rmse(const Array<T>& user_factors, const Array<T>& item_factors, const Biases<T>& user_biases,
                  const Biases<T>& item_biases, double global_mean, const BoundRatings<T>& ratings, int n_threads) {
  const auto model = model_view(user_factors, item_factors, user_biases, item_biases, global_mean);
  const py::gil_scoped_release release;
  return rmse<T>(model, ratings.view, n_threads);
}

/// The two outputs of a ranking: codes and scores, one row a query.
template <class T, class Rank>
py::tuple ranking(py::ssize_t n_queries, Index n, const Rank& rank) {
  if (n < 1) throw InvalidArgument("n must be at least 1, not " + std::to_string(n));
  Array<Code> items({n_queries, static_cast<py::ssize_t>(n)});
  Array<T> scores({n_queries, static_cast<py::ssize_t>(n)});
  const auto item_rows = mutable_matrix(items, "items");
  const auto score_rows = mutable_matrix(scores, "scores");
  {
    const py::gil_scoped_release release;
    rank(item_rows, score_rows);
  }
  return py::make_tuple(std::move(items), std::move(scores));
}

template <class T>
py::tuple bound_recommend(const Array<T>& user_factors, const Array<T>& item_factors, const Biases<T>& user_biases,
                          const Biases<T>& item_biases, double global_mean, const Array<Code>& users, Index n,
                          const std::optional<Pattern>& exclude, int n_threads, const std::optional<Pattern>& among) {
  const auto model = model_view(user_factors, item_factors, user_biases, item_biases, global_mean);
  const auto u = vector(users, "users");
  const Index n_items = model.item_factors.rows;
  const PatternView excluded = exclude ? pattern_view(*exclude, n_items, "exclude") : PatternView{};
  const PatternView allowed = among ? pattern_view(*among, n_items, "among") : PatternView{};
  return ranking<T>(users.size(), n, [&](MatrixView<Code> items, MatrixView<T> scores) {
    recommend<T>(model, u, n, {exclude ? &excluded : nullptr, among ? &allowed : nullptr}, items, scores, n_threads);
  });
}

template <class T>
py::tuple bound_similar_items(const Array<T>& item_factors, const Array<Code>& queries, Index n, int n_threads) {
  const auto items = matrix(item_factors, "item_factors");
  const ModelView<T> model{{nullptr, 0, items.cols}, items, {}, {}, 0};
  const auto q = vector(queries, "items");
  return ranking<T>(queries.size(), n, [&](MatrixView<Code> codes, MatrixView<T> scores) {
    similar_items<T>(model, q, n, codes, scores, n_threads);
  });
}

/// The users of the training are needed where new ones are compared with them.
template <class T>
void bound_fold_in(const Array<T>& item_factors, const Biases<T>& item_biases, double global_mean,
                   const Settings& settings, const BoundRatings<T>& ratings, Array<T> user_factors,
                   Biases<T> user_biases, int n_threads, const std::optional<Array<T>>& known_factors,
                   const Biases<T>& known_biases) {
  const auto items = matrix(item_factors, "item_factors");
  const MatrixView<const T> none{nullptr, 0, items.cols};
  const auto users = known_factors ? matrix(*known_factors, "known_factors") : none;
  const auto known = known_factors ? vector(known_biases, "known_biases") : std::span<const T>{};
  const ModelView<T> model{users, items, known, vector(item_biases, "item_biases"), global_mean};
  const auto factors = mutable_matrix(user_factors, "user_factors");
  const auto biases = mutable_vector(user_biases, "user_biases");
  const py::gil_scoped_release release;
  fold_in<T>(model, settings, ratings.view, factors, biases, n_threads);
}

template <class T>
void register_model_of(py::module_& m) {
  const auto u = "user_factors"_a.noconvert(), v = "item_factors"_a.noconvert();
  const auto b = "user_biases"_a.noconvert(), c = "item_biases"_a.noconvert();
  m.def("predict", &bound_predict<T>, u, v, b, c, "global_mean"_a, "users"_a.noconvert(), "items"_a.noconvert(),
        "out"_a.noconvert(), "n_threads"_a);
  m.def("rmse", &bound_rmse<T>, u, v, b, c, "global_mean"_a, "ratings"_a, "n_threads"_a);
  m.def("recommend", &bound_recommend<T>, u, v, b, c, "global_mean"_a, "users"_a.noconvert(), "n"_a,
        "exclude"_a.noconvert(), "n_threads"_a, "among"_a.noconvert() = py::none());
  m.def("similar_items", &bound_similar_items<T>, v, "items"_a.noconvert(), "n"_a, "n_threads"_a);
  m.def("fold_in", &bound_fold_in<T>, v, c, "global_mean"_a, "settings"_a, "ratings"_a, u, b, "n_threads"_a,
        "known_factors"_a.noconvert() = py::none(), "known_biases"_a.noconvert() = py::none());
}

}  // namespace

void register_model(py::module_& m) {
  register_model_of<float>(m);
  register_model_of<double>(m);
}

}  // namespace matfac::bindings
