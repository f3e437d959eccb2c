#include <algorithm>
#include <cmath>
#include <iterator>

#include "core/message.hpp"
#include "matfac/settings.hpp"
#include "solvers/loss_loops.hpp"

namespace matfac {
namespace {

struct SolverEntry {
  Solver value;
  const char* name;
  std::vector<Loss> losses;
};
template <class Value>
struct Named {
  Value value;
  const char* name;
};

/// The one table of what supports what.
const std::vector<SolverEntry>& solver_table() {
  static const std::vector<SolverEntry> table{
      {Solver::als,
       "als",
       {Loss::squared, Loss::absolute, Loss::huber, Loss::logistic, Loss::squared_hinge, Loss::implicit_squared}},
      {Solver::sgd,
       "sgd",
       {Loss::squared, Loss::absolute, Loss::huber, Loss::kullback_leibler, Loss::logistic, Loss::hinge,
        Loss::squared_hinge, Loss::bpr, Loss::warp}},
      {Solver::batch,
       "batch",
       {Loss::squared, Loss::huber, Loss::kullback_leibler, Loss::logistic, Loss::squared_hinge}},
      {Solver::ccd, "ccd", {Loss::squared}},
  };
  return table;
}
constexpr Named<Loss> kLosses[] = {
    {Loss::squared, "squared"},
    {Loss::absolute, "absolute"},
    {Loss::huber, "huber"},
    {Loss::kullback_leibler, "kullback_leibler"},
    {Loss::logistic, "logistic"},
    {Loss::hinge, "hinge"},
    {Loss::squared_hinge, "squared_hinge"},
    {Loss::implicit_squared, "implicit_squared"},
    {Loss::bpr, "bpr"},
    {Loss::warp, "warp"},
};
constexpr Named<RowSolver> kRowSolvers[] = {
    {RowSolver::cholesky, "cholesky"},
    {RowSolver::conjugate_gradient, "conjugate_gradient"},
    {RowSolver::subspace, "subspace"},
};
constexpr Named<Negatives> kNegatives[] = {
    {Negatives::uniform, "uniform"},
    {Negatives::popularity, "popularity"},
};

template <class Table>
std::string names(const Table& table) {
  std::string list;
  for (const auto& entry : table) list += (list.empty() ? "'" : ", '") + std::string(entry.name) + "'";
  return list;
}

template <class Table, class Value>
std::string_view name_in(const Table& table, const char* what, Value value) {
  for (const auto& entry : table) {
    if (entry.value == value) return entry.name;
  }
  throw InvalidArgument(message("unknown ", what, " number ", static_cast<int>(value)));
}

template <class Table>
auto from_name(const Table& table, const char* what, std::string_view name) {
  for (const auto& entry : table) {
    if (name == entry.name) return entry.value;
  }
  throw InvalidArgument(message("unknown ", what, " '", name, "': choose one of ", names(table)));
}

void require_not_negative(const char* name, double value) {
  require(std::isfinite(value) && value >= 0, name, " must be a finite number of at least 0, not ", value);
}

void require_not_negative(const char* name, const PerSide& value) {
  require_not_negative((name + std::string(" (user)")).c_str(), value.user);
  require_not_negative((name + std::string(" (item)")).c_str(), value.item);
}

void require_positive(const char* name, double value) {
  require(std::isfinite(value) && value > 0, name, " must be a finite number above 0, not ", value);
}

}  // namespace

std::string_view name_of(Solver solver) { return name_in(solver_table(), "solver", solver); }
std::string_view name_of(Loss loss) { return name_in(kLosses, "loss", loss); }
std::string_view name_of(RowSolver row_solver) { return name_in(kRowSolvers, "row_solver", row_solver); }
std::string_view name_of(Negatives negatives) { return name_in(kNegatives, "negatives", negatives); }

Solver solver_from_name(std::string_view name) { return from_name(solver_table(), "solver", name); }
Loss loss_from_name(std::string_view name) { return from_name(kLosses, "loss", name); }
RowSolver row_solver_from_name(std::string_view name) { return from_name(kRowSolvers, "row_solver", name); }
Negatives negatives_from_name(std::string_view name) { return from_name(kNegatives, "negatives", name); }

std::vector<Loss> losses_of(Solver solver) {
  for (const auto& entry : solver_table()) {
    if (entry.value == solver) return entry.losses;
  }
  return {};
}

namespace {

void require_supported(const Settings& s) {
  const auto supported = losses_of(s.solver);
  if (std::find(supported.begin(), supported.end(), s.loss) != supported.end()) return;
  // A loss of another kind asks for other data: no remedy.
  std::string list;
  for (const Loss loss : supported) {
    if (is_point_loss(loss) != is_point_loss(s.loss)) continue;
    list += (list.empty() ? "'" : ", '") + std::string(name_of(loss)) + "'";
  }
  std::string others;
  for (const auto& entry : solver_table()) {
    if (std::find(entry.losses.begin(), entry.losses.end(), s.loss) == entry.losses.end()) continue;
    others += (others.empty() ? "'" : ", '") + std::string(entry.name) + "'";
  }
  throw InvalidArgument(message("solver '", name_of(s.solver), "' does not support loss '", name_of(s.loss),
                                "': it supports ", list.empty() ? "none of its kind" : list,
                                "; the loss is supported by ", others));
}

}  // namespace

void validate(const Settings& s) {
  require_supported(s);
  constexpr Index kMaxFactors = 65536;
  require(s.n_factors >= 1 && s.n_factors <= kMaxFactors, "n_factors must be in [1, ", kMaxFactors, "], not ",
          s.n_factors);
  require(s.loss != Loss::implicit_squared || !s.biases,
          "loss 'implicit_squared' is one without biases: set biases to false");
  const bool descends = s.nonnegative || s.l1_regularization.user > 0 || s.l1_regularization.item > 0;
  require(s.solver != Solver::als || s.row_solver == RowSolver::cholesky || !descends, "row_solver '",
          name_of(s.row_solver), "' knows no l1_regularization and no nonnegative factors: choose 'cholesky', with ",
          "which such rows are solved by coordinate descent");
  if (s.regularization) require_not_negative("regularization", *s.regularization);
  if (s.bias_regularization) require_not_negative("bias_regularization", *s.bias_regularization);
  require_not_negative("l1_regularization", s.l1_regularization);
  require(std::isfinite(s.regularization_exponent), "regularization_exponent must be finite, not ",
          s.regularization_exponent);
  if (s.huber_threshold) require_positive("huber_threshold", *s.huber_threshold);
  require_positive("learning_rate", s.learning_rate);
  require_positive("unobserved_weight", s.unobserved_weight);
  if (s.confidence_scale) require_positive("confidence_scale", *s.confidence_scale);
  require(s.cg_steps >= 1, "cg_steps must be at least 1, not ", s.cg_steps);
  require(s.subspace_size >= 1, "subspace_size must be at least 1, not ", s.subspace_size);
  require(s.max_trials >= 1, "max_trials must be at least 1, not ", s.max_trials);
  require(s.max_iter >= 1, "max_iter must be at least 1, not ", s.max_iter);
  require_not_negative("tol", s.tol);
  require(s.patience >= 1, "patience must be at least 1, not ", s.patience);
  if (s.init_std) require_not_negative("init_std", *s.init_std);
  require(s.n_threads >= 0, "n_threads must be at least 0 (0: all), not ", s.n_threads);
}

}  // namespace matfac
