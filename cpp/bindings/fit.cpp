#include "matfac/fit.hpp"

#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include <cmath>

#include "arrays.hpp"
#include "bindings.hpp"
#include "matfac/model_file.hpp"

namespace matfac::bindings {
namespace {

using namespace py::literals;

/// With the squared loss the errors are given as RMSE, with others as mean losses.
py::dict to_dict(const Iteration& now) {
  const bool is_squared = !std::isnan(now.train_rmse);
  py::dict d;
  d["iteration"] = now.iteration;
  d["objective"] = now.objective;
  d[is_squared ? "train_rmse" : "train_loss"] = is_squared ? now.train_rmse : now.train_loss;
  d[is_squared ? "eval_rmse" : "eval_loss"] = is_squared ? now.eval_rmse : now.eval_loss;
  d["seconds"] = now.seconds;
  return d;
}

/// Runs the fit without the GIL. Between iterations Python is asked: signals (Ctrl-C) and the callback, which stops the
/// fit by returning False. What Python raises there ends the fit too, with the factors of the last whole iteration in
/// place; the exception is handed back in the report, to be raised once the model is usable.
template <class T>
py::dict bound_fit(const BoundRatings<T>& train, const Settings& settings, Array<T> user_factors, Array<T> item_factors,
                   std::optional<Array<T>> user_biases, std::optional<Array<T>> item_biases,
                   std::optional<const BoundRatings<T>*> eval, const py::object& on_iteration) {
  const FactorsView<T> factors{mutable_matrix(user_factors, "user_factors"),
                               mutable_matrix(item_factors, "item_factors"), mutable_vector(user_biases, "user_biases"),
                               mutable_vector(item_biases, "item_biases")};
  py::object raised = py::none();
  const auto ask_python = [&](const Iteration& now) {
    const py::gil_scoped_acquire acquire;
    try {
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      if (on_iteration.is_none()) return true;
      const py::object answer = on_iteration(to_dict(now));
      return !answer.is(py::bool_(false));
    } catch (py::error_already_set& error) {
      raised = error.value();
      if (error.trace()) PyException_SetTraceback(raised.ptr(), error.trace().ptr());
      return false;
    }
  };
  FitReport report;
  {
    const py::gil_scoped_release release;
    report = fit<T>(train.view, settings, factors, eval ? &(*eval)->view : nullptr, ask_python);
  }
  py::dict result;
  result["settings"] = report.settings;
  result["global_mean"] = report.global_mean;
  result["n_iter"] = report.n_iter;
  result["best_iteration"] = report.best_iteration;
  result["stop_reason"] = std::string(name_of(report.stop_reason));
  py::list history;
  for (const Iteration& now : report.history) history.append(to_dict(now));
  result["history"] = history;
  result["metadata"] = metadata_of(report);
  result["raised"] = raised;
  return result;
}

/// A setting by name, as a Python property.
template <class V>
void def_setting(py::class_<Settings>& settings, const char* name, V Settings::* member) {
  settings.def_readwrite(name, member);
}
void def_setting(py::class_<Settings>& settings, const char* name, PerSide Settings::* member) {
  using Pair = std::pair<double, double>;
  settings.def_property(
      name, [member](const Settings& s) { return Pair((s.*member).user, (s.*member).item); },
      [member](Settings& s, const Pair& value) { s.*member = {value.first, value.second}; });
}
void def_setting(py::class_<Settings>& settings, const char* name, std::optional<PerSide> Settings::* member) {
  using Pair = std::optional<std::pair<double, double>>;
  settings.def_property(
      name,
      [member](const Settings& s) {
        const auto& value = s.*member;
        return value ? Pair({value->user, value->item}) : Pair();
      },
      [member](Settings& s, const Pair& value) {
        s.*member = value ? std::optional<PerSide>({value->first, value->second}) : std::nullopt;
      });
}

/// A setting that is one of a few names.
template <class V>
void def_named(py::class_<Settings>& settings, const char* name, V Settings::* member,
               V (*from_name)(std::string_view)) {
  settings.def_property(
      name, [member](const Settings& s) { return std::string(matfac::name_of(s.*member)); },
      [member, from_name](Settings& s, const std::string& value) { s.*member = from_name(value); });
}

void register_settings(py::module_& m) {
  py::class_<Settings> settings(m, "Settings", "What to compute; a new one holds the defaults.");
  settings.def(py::init<>());
  def_setting(settings, "n_factors", &Settings::n_factors);
  def_setting(settings, "biases", &Settings::biases);
  def_setting(settings, "regularization", &Settings::regularization);
  def_setting(settings, "bias_regularization", &Settings::bias_regularization);
  def_setting(settings, "l1_regularization", &Settings::l1_regularization);
  def_setting(settings, "nonnegative", &Settings::nonnegative);
  def_setting(settings, "huber_threshold", &Settings::huber_threshold);
  def_setting(settings, "cg_steps", &Settings::cg_steps);
  def_setting(settings, "subspace_size", &Settings::subspace_size);
  def_setting(settings, "unobserved_weight", &Settings::unobserved_weight);
  def_setting(settings, "confidence_scale", &Settings::confidence_scale);
  def_setting(settings, "max_trials", &Settings::max_trials);
  def_setting(settings, "compare_users", &Settings::compare_users);
  def_setting(settings, "regularization_exponent", &Settings::regularization_exponent);
  def_setting(settings, "learning_rate", &Settings::learning_rate);
  def_setting(settings, "max_iter", &Settings::max_iter);
  def_setting(settings, "tol", &Settings::tol);
  def_setting(settings, "early_stopping", &Settings::early_stopping);
  def_setting(settings, "patience", &Settings::patience);
  def_setting(settings, "init_std", &Settings::init_std);
  def_setting(settings, "seed", &Settings::seed);
  def_setting(settings, "n_threads", &Settings::n_threads);
  def_named(settings, "solver", &Settings::solver, solver_from_name);
  def_named(settings, "loss", &Settings::loss, loss_from_name);
  def_named(settings, "row_solver", &Settings::row_solver, row_solver_from_name);
  def_named(settings, "negatives", &Settings::negatives, negatives_from_name);
  settings.def_property(
      "init", [](const Settings& s) { return s.init == Init::random ? "random" : "given"; },
      [](Settings& s, const std::string& name) {
        if (name != "random" && name != "given") throw py::value_error("init must be 'random' or 'given'");
        s.init = name == "random" ? Init::random : Init::given;
      });
  settings.def("validate", [](const Settings& s) { validate(s); });
}

template <class T>
void register_fits(py::module_& m) {
  m.def("fit", &bound_fit<T>, "train"_a, "settings"_a, "user_factors"_a.noconvert(), "item_factors"_a.noconvert(),
        "user_biases"_a.noconvert(), "item_biases"_a.noconvert(), "eval"_a, "on_iteration"_a);
}

}  // namespace

void register_fit(py::module_& m) {
  register_settings(m);
  register_fits<float>(m);
  register_fits<double>(m);
}

}  // namespace matfac::bindings
