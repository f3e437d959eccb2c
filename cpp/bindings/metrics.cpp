#include "matfac/metrics.hpp"

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "bindings.hpp"

namespace matfac::bindings {
namespace {

using namespace py::literals;

using OptionalPattern = std::optional<Pattern>;
template <class T>
using OptionalArray = std::optional<Array<T>>;

Array<double> bound_ranking_measures(const Array<Code>& recommended, const Pattern& relevant, Index n_items,
                                     int n_threads) {
  const auto lists = matrix(recommended, "recommended");
  const PatternView pattern = pattern_view(relevant, n_items, "relevant");
  Array<double> measures({static_cast<py::ssize_t>(lists.rows), static_cast<py::ssize_t>(kRankingMeasures)});
  const auto rows = mutable_matrix(measures, "measures");
  {
    const py::gil_scoped_release release;
    ranking_measures(lists, pattern, rows, n_threads);
  }
  return measures;
}

std::vector<double> bound_mean_measures(const Array<double>& measures, int n_threads) {
  const auto rows = matrix(measures, "measures");
  const py::gil_scoped_release release;
  return mean_measures(rows, n_threads);
}

template <class T>
void bound_evaluate_recommendations(const Array<T>& user_factors, const Array<T>& item_factors,
                                    const OptionalArray<T>& user_biases, const OptionalArray<T>& item_biases,
                                    double global_mean, const Array<Code>& users, Index n, const Pattern& relevant,
                                    const OptionalPattern& seen, Array<double> measures, Array<Index> times_recommended,
                                    int n_threads) {
  const auto model = model_view(user_factors, item_factors, user_biases, item_biases, global_mean);
  const auto u = vector(users, "users");
  const PatternView right = pattern_view(relevant, model.item_factors.rows, "relevant");
  const PatternView known = seen ? pattern_view(*seen, model.item_factors.rows, "seen") : PatternView{};
  const auto rows = mutable_matrix(measures, "measures");
  const auto times = mutable_vector(times_recommended, "times_recommended");
  const py::gil_scoped_release release;
  evaluate_recommendations<T>(model, u, n, right, seen ? &known : nullptr, rows, times, n_threads);
}

template <class T>
void bound_ranking_auc(const Array<T>& user_factors, const Array<T>& item_factors, const OptionalArray<T>& user_biases,
                       const OptionalArray<T>& item_biases, double global_mean, const Array<Code>& users,
                       const Pattern& relevant, const OptionalPattern& seen, Array<double> out, int n_threads) {
  const auto model = model_view(user_factors, item_factors, user_biases, item_biases, global_mean);
  const auto u = vector(users, "users");
  const PatternView right = pattern_view(relevant, model.item_factors.rows, "relevant");
  const PatternView known = seen ? pattern_view(*seen, model.item_factors.rows, "seen") : PatternView{};
  const auto values = mutable_vector(out, "out");
  const py::gil_scoped_release release;
  ranking_auc<T>(model, u, right, seen ? &known : nullptr, values, n_threads);
}

template <class T>
void register_metrics_of(py::module_& m) {
  const auto u = "user_factors"_a.noconvert(), v = "item_factors"_a.noconvert();
  const auto b = "user_biases"_a.noconvert(), c = "item_biases"_a.noconvert();
  const auto relevant = "relevant"_a.noconvert(), seen = "seen"_a.noconvert();
  m.def("evaluate_recommendations", &bound_evaluate_recommendations<T>, u, v, b, c, "global_mean"_a,
        "users"_a.noconvert(), "n"_a, relevant, seen, "measures"_a.noconvert(), "times_recommended"_a.noconvert(),
        "n_threads"_a);
  m.def("ranking_auc", &bound_ranking_auc<T>, u, v, b, c, "global_mean"_a, "users"_a.noconvert(), relevant, seen,
        "out"_a.noconvert(), "n_threads"_a);
}

}  // namespace

void register_metrics(py::module_& m) {
  m.def("ranking_measures", &bound_ranking_measures, "recommended"_a.noconvert(), "relevant"_a.noconvert(), "n_items"_a,
        "n_threads"_a);
  m.def("mean_measures", &bound_mean_measures, "measures"_a.noconvert(), "n_threads"_a);
  register_metrics_of<float>(m);
  register_metrics_of<double>(m);
}

}  // namespace matfac::bindings
