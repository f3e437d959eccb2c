#include "io/settings_entries.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <type_traits>

#include "core/message.hpp"
#include "io/entry_text.hpp"
#include "io/model_contents.hpp"
#include "io/model_format.hpp"
#include "io/result_entries.hpp"

namespace matfac {
namespace {

/// Calls `visit(name, member)` for every setting that says what a model is. Not among them are `n_factors`, which the
/// format keeps itself, and `init` and `n_threads`, which say how to run.
template <class AnySettings, class Visit>
void for_each_setting(AnySettings& s, const Visit& visit) {
  visit("solver", s.solver);
  visit("loss", s.loss);
  visit("huber_threshold", s.huber_threshold);
  visit("biases", s.biases);
  visit("regularization", s.regularization);
  visit("bias_regularization", s.bias_regularization);
  visit("l1_regularization", s.l1_regularization);
  visit("regularization_exponent", s.regularization_exponent);
  visit("nonnegative", s.nonnegative);
  visit("learning_rate", s.learning_rate);
  visit("row_solver", s.row_solver);
  visit("cg_steps", s.cg_steps);
  visit("subspace_size", s.subspace_size);
  visit("unobserved_weight", s.unobserved_weight);
  visit("confidence_scale", s.confidence_scale);
  visit("negatives", s.negatives);
  visit("max_trials", s.max_trials);
  visit("compare_users", s.compare_users);
  visit("max_iter", s.max_iter);
  visit("tol", s.tol);
  visit("early_stopping", s.early_stopping);
  visit("patience", s.patience);
  visit("init_std", s.init_std);
  visit(model_format::kSeedEntry, s.seed);
}

template <class V>
constexpr bool is_optional = false;
template <class V>
constexpr bool is_optional<std::optional<V>> = true;

template <class V>
void read_entry(const Entries& metadata, const std::string& name, V& value) {
  with_entry(metadata, name, [&](const std::string& text) { entry_text::read(text, value); });
}

/// The first solver of the table that supports the loss.
Solver first_solver_for(Loss loss) {
  for (const Solver solver : {Solver::als, Solver::sgd, Solver::batch, Solver::ccd}) {
    const auto losses = losses_of(solver);
    if (std::find(losses.begin(), losses.end(), loss) != losses.end()) return solver;
  }
  return Solver::als;
}

/// One list a column, as Python keeps the history. Without the clock: the same fit makes the same file.
std::string history_text(const FitReport& report) {
  std::string text;
  const auto add = [&](std::string_view name, const auto& value_of) {
    const auto& history = report.history;
    if (!history.empty() && std::isnan(static_cast<double>(value_of(history.front())))) return;  // was not measured
    text += message(text.empty() ? "{" : ", ", '"', name, "\": [");
    for (std::size_t i = 0; i < history.size(); ++i) {
      const auto value = value_of(history[i]);
      const bool is_finite = std::isfinite(static_cast<double>(value));
      text += message(i > 0 ? ", " : "", is_finite ? entry_text::text_of(value) : "null");
    }
    text += ']';
  };
  const bool is_squared = report.settings.loss == Loss::squared;
  add("iteration", [](const Iteration& now) { return now.iteration; });
  add("objective", [](const Iteration& now) { return now.objective; });
  add(is_squared ? "train_rmse" : "train_loss",
      [&](const Iteration& now) { return is_squared ? now.train_rmse : now.train_loss; });
  add(is_squared ? "eval_rmse" : "eval_loss",
      [&](const Iteration& now) { return is_squared ? now.eval_rmse : now.eval_loss; });
  return text + '}';
}

/// What was written into `settings`; what was not stays.
void read_settings(const Entries& metadata, Settings& settings) {
  const auto estimator = metadata.find("estimator");
  const bool is_of_choices = estimator != metadata.end() && estimator->second == estimator_of(Loss::implicit_squared);
  if (is_of_choices) settings.loss = Loss::implicit_squared;  // as this class has it
  read_entry(metadata, "loss", settings.loss);
  if (is_of_choices || metadata.count("loss") > 0) settings.solver = first_solver_for(settings.loss);
  for_each_setting(settings, [&](const std::string& name, auto& value) {
    using V = std::remove_reference_t<decltype(value)>;
    const auto found = metadata.find(name);
    // What the fit was to choose, and Python's None for a setting that follows from the loss.
    if (!is_optional<V> && found != metadata.end() && found->second == "null") return;
    read_entry(metadata, name, value);
    if constexpr (is_optional<V>) {
      V result;
      read_entry(metadata, name + '_', result);
      if (result) value = result;
    }
  });
}

/// What the file itself says, whatever its entries.
template <class T>
void read_shape(const Entries& metadata, const ModelView<T>& model, Settings& settings) {
  settings.n_factors = model.item_factors.cols;
  // There may be biases that have no entries.
  const bool may_tell = model.user_factors.rows > 0 && model.item_factors.rows > 0;
  const auto entry = metadata.find("biases");
  const bool is_open = entry == metadata.end() || entry->second == "null";
  if (may_tell || is_open) settings.biases = !model.item_biases.empty();
}

/// With one of them alone `fold_in` would fail later, and the default of the other is not what the fit has found.
void require_both_penalties(const Entries& metadata, const Settings& settings) {
  const bool has_factors = settings.regularization.has_value(), has_biases = settings.bias_regularization.has_value();
  if (!settings.biases || has_factors == has_biases) return;
  const std::string factors = "regularization", biases = "bias_regularization";
  const std::string &there = has_factors ? factors : biases, &missing = has_factors ? biases : factors;
  const auto found = metadata.find(there + '_');
  const bool is_found = found != metadata.end() && found->second != "null";
  throw InvalidArgument(message("the metadata entry \"", there, is_found ? "_" : "", "\" stands without \"", missing,
                                "\": a model with biases needs both of them, or neither"));
}

}  // namespace

Settings settings_of(const ModelContents& contents) {
  const Entries& metadata = contents.record.metadata;
  Settings settings;
  read_settings(metadata, settings);
  std::visit([&](const auto& model) { read_shape(metadata, model, settings); }, contents.model);
  Settings entries = settings;
  entries.n_factors = 1;  // no entry: a file may have more factors than a fit allows
  validate(entries);
  require_both_penalties(metadata, settings);
  check_results(metadata, settings.loss);
  return settings;
}

std::map<std::string, std::string> metadata_of(const FitReport& report) {
  Entries metadata;
  for_each_setting(report.settings,
                   [&](const std::string& name, const auto& value) { metadata[name] = entry_text::text_of(value); });
  // What a fit resolves for all losses, and what means something for one.
  if (report.settings.loss != Loss::huber) metadata["huber_threshold"] = "null";
  if (report.settings.loss != Loss::implicit_squared) metadata["confidence_scale"] = "null";
  for (const char* name : {"regularization", "bias_regularization", "huber_threshold", "confidence_scale"}) {
    metadata[std::string(name) + '_'] = metadata[name];
  }
  metadata["estimator"] = estimator_of(report.settings.loss);
  metadata["n_iter_"] = message(report.n_iter);
  metadata["best_iteration_"] = message(report.best_iteration);
  metadata["stop_reason_"] = name_of(report.stop_reason);
  metadata["history_"] = history_text(report);
  return metadata;
}

}  // namespace matfac
