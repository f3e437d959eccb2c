#include <cmath>
#include <iterator>

#include "core/message.hpp"
#include "matfac/settings.hpp"

namespace matfac {
namespace {

struct SolverEntry {
  Solver solver;
  const char* name;
  std::vector<Loss> losses;
};
struct LossEntry {
  Loss loss;
  const char* name;
};

/// The one table of what supports what.
const std::vector<SolverEntry>& solver_table() {
  static const std::vector<SolverEntry> table{
      {Solver::als, "als", {Loss::squared}},
      {Solver::sgd, "sgd", {Loss::squared}},
      {Solver::batch, "batch", {Loss::squared}},
  };
  return table;
}
constexpr LossEntry kLosses[] = {
    {Loss::squared, "squared"},
};

template <class Table>
std::string names(const Table& table) {
  std::string list;
  for (const auto& entry : table) list += (list.empty() ? "'" : ", '") + std::string(entry.name) + "'";
  return list;
}

void require_not_negative(const char* name, double value) {
  require(std::isfinite(value) && value >= 0, name, " must be a finite number of at least 0, not ", value);
}

}  // namespace

std::string_view name_of(Solver solver) {
  for (const auto& entry : solver_table()) {
    if (entry.solver == solver) return entry.name;
  }
  throw InvalidArgument(message("unknown solver number ", static_cast<int>(solver)));
}

std::string_view name_of(Loss loss) {
  for (const auto& entry : kLosses) {
    if (entry.loss == loss) return entry.name;
  }
  throw InvalidArgument(message("unknown loss number ", static_cast<int>(loss)));
}

Solver solver_from_name(std::string_view name) {
  for (const auto& entry : solver_table()) {
    if (name == entry.name) return entry.solver;
  }
  throw InvalidArgument(message("unknown solver '", name, "': choose one of ", names(solver_table())));
}

Loss loss_from_name(std::string_view name) {
  for (const auto& entry : kLosses) {
    if (name == entry.name) return entry.loss;
  }
  throw InvalidArgument(message("unknown loss '", name, "': choose one of ", names(kLosses)));
}

std::vector<Loss> losses_of(Solver solver) {
  for (const auto& entry : solver_table()) {
    if (entry.solver == solver) return entry.losses;
  }
  return {};
}

void validate(const Settings& s) {
  const auto supported = losses_of(s.solver);
  bool found = false;
  std::string list;
  for (const Loss loss : supported) {
    found = found || loss == s.loss;
    list += (list.empty() ? "'" : ", '") + std::string(name_of(loss)) + "'";
  }
  require(found, "solver '", name_of(s.solver), "' does not support loss '", name_of(s.loss), "': it supports ", list);
  constexpr Index kMaxFactors = 65536;
  require(s.n_factors >= 1 && s.n_factors <= kMaxFactors, "n_factors must be in [1, ", kMaxFactors, "], not ",
          s.n_factors);
  if (s.regularization) {
    require_not_negative("regularization (user)", s.regularization->user);
    require_not_negative("regularization (item)", s.regularization->item);
  }
  if (s.bias_regularization) {
    require_not_negative("bias_regularization (user)", s.bias_regularization->user);
    require_not_negative("bias_regularization (item)", s.bias_regularization->item);
  }
  require(std::isfinite(s.regularization_exponent), "regularization_exponent must be finite, not ",
          s.regularization_exponent);
  require(std::isfinite(s.learning_rate) && s.learning_rate > 0, "learning_rate must be a finite number above 0, not ",
          s.learning_rate);
  require(s.max_iter >= 1, "max_iter must be at least 1, not ", s.max_iter);
  require_not_negative("tol", s.tol);
  require(s.patience >= 1, "patience must be at least 1, not ", s.patience);
  if (s.init_std) require_not_negative("init_std", *s.init_std);
  require(s.n_threads >= 0, "n_threads must be at least 0 (0: all), not ", s.n_threads);
}

}  // namespace matfac
