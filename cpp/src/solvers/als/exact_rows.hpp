#pragma once

#include <algorithm>
#include <vector>

#include "solvers/als/least_norm_rows.hpp"
#include "solvers/als/long_rows.hpp"
#include "solvers/als/row_terms.hpp"

namespace matfac::als {

/// Rows that are solved exactly: by Cholesky, several at once (kernels/row_batch.inl), and where that cannot be by
/// their least-norm solution. A row's bits do not depend on those beside it.
template <class T>
class ExactRows {
 public:
  using Row = TargetRow<T>;

  ExactRows(const RowTerms<T>& terms, const Method<T>& method, bool has_terms, Index n_factors)
      : terms_(terms), method_(method), has_terms_(has_terms), n_factors_(n_factors) {}

  /// Solves `rows`, none of them long or empty, in an order of its own. `problem_of(row)` gives a row's problem, as its
  /// ratings are.
  template <class ProblemOf>
  void solve(const std::vector<Row>& rows, const ProblemOf& problem_of, Scratch<T>& scratch) const {
    auto& few = scratch.few;
    few.clear();
    begin(scratch, false, n_factors_);
    for (const Row& row : rows) {
      const RowProblem<T> problem = problem_of(row);
      if (is_singular(problem, row)) {
        solve_alone(row, problem, scratch, 1);
      } else if (has_few_ratings(problem)) {
        few.push_back(row);
      } else {
        add(row, problem, scratch);
      }
    }
    finish(scratch);
    // Alike in size, since the largest decides what a batch costs.
    std::stable_sort(few.begin(), few.end(), [](const Row& a, const Row& b) { return a.ratings.n < b.ratings.n; });
    for (std::size_t k = 0; k < few.size(); ++k) {
      if (scratch.batch.n == 0) {
        const auto most = static_cast<std::size_t>(kernels_.batch_rows(few[k].ratings.n));
        const Index size = few[std::min(k + most, few.size()) - 1].ratings.n;
        begin(scratch, true, size);
      }
      RowProblem<T> problem = problem_of(few[k]);
      if (k + 1 < few.size()) {
        problem.next_codes = few[k + 1].ratings.codes;
        problem.n_next = few[k + 1].ratings.n;
      }
      add(few[k], problem, scratch);
      if (k + 1 == few.size()) finish(scratch);
    }
  }

  /// Solves a row of any length by itself, with all threads where it is long.
  void solve_alone(const Row& row, RowProblem<T> problem, Scratch<T>& scratch, int n_threads) const {
    prepare(row, scratch, problem);
    RowTask<T> task{.problem = problem, .solution = row.factors, .bias = row.bias, .failed = 0};
    const bool by_ratings = has_few_ratings(problem);
    if (is_singular(problem, row)) return complete(row, task, by_ratings, scratch);
    if (by_ratings) {
      begin(scratch, true, problem.n);
      kernels_.add_to_batch(scratch.batch, problem, row.factors, row.bias, scratch.panels.data());
      kernels_.solve_batch(scratch.batch);
      task = scratch.batch.rows[0];
      scratch.batch.n = 0;
    } else {
      provide(scratch.system, kernels_.row_system_size(n_factors_));
      provide(scratch.panels, kernels_.row_panels_size(n_factors_));
      task.total = accumulate(problem, scratch.system.data(), scratch.panels.data(), n_threads);
      kernels_.finish_row(task, scratch.system.data());
    }
    complete(row, task, by_ratings, scratch);
  }

 private:
  /// Fewer ratings than unknowns and no penalty: singular for certain, whatever rounding makes of the pivots.
  bool is_singular(const RowProblem<T>& p, const Row& row) const {
    const Index unknowns = n_factors_ + (row.bias != nullptr && p.bias_regularization == T(0) ? 1 : 0);
    return p.base == nullptr && p.regularization == T(0) && p.n < unknowns;
  }
  /// By the n x n system of the ratings: n^2 F + n^3 / 3 operations against n F^2 + F^3 / 3, and what it costs to
  /// transpose.
  bool has_few_ratings(const RowProblem<T>& p) const {
    return p.base == nullptr && p.regularization > T(0) && 4 * p.n <= 3 * n_factors_;
  }

  void prepare(const Row& row, Scratch<T>& scratch, RowProblem<T>& problem) const {
    if (has_terms_) terms_(row.ratings, row.factors, row.bias, scratch, problem);
  }

  void begin(Scratch<T>& scratch, bool by_ratings, Index size) const {
    provide(scratch.batch_memory, kernels_.row_batch_memory(n_factors_));
    provide(scratch.panels, kernels_.row_panels_size(n_factors_));
    scratch.batch.memory = scratch.batch_memory.data();
    scratch.batch.by_ratings = by_ratings;
    scratch.batch.size = size;
    scratch.batch.n = 0;
    scratch.in_batch.clear();
  }

  void add(const Row& row, const RowProblem<T>& problem, Scratch<T>& scratch) const {
    RowProblem<T> prepared = problem;
    prepare(row, scratch, prepared);
    kernels_.add_to_batch(scratch.batch, prepared, row.factors, row.bias, scratch.panels.data());
    scratch.in_batch.push_back({row, problem});
    if (scratch.batch.n == kernels_.batch_rows(scratch.batch.size)) finish(scratch);
  }

  /// Solves the batch and empties it.
  void finish(Scratch<T>& scratch) const {
    auto& batch = scratch.batch;
    kernels_.solve_batch(batch);
    for (Index s = 0; s < batch.n; ++s) {
      const auto& [row, problem] = scratch.in_batch[static_cast<std::size_t>(s)];
      RowTask<T>& task = batch.rows[s];
      if (task.failed < 0 && method_.minima == nullptr) continue;
      task.problem = problem;
      prepare(row, scratch, task.problem);  // its terms have made room for the next row's
      complete(row, task, batch.by_ratings, scratch);
    }
    batch.n = 0;
    scratch.in_batch.clear();
  }

  /// What is left when a row's system has been tried.
  void complete(const Row& row, const RowTask<T>& task, bool by_ratings, Scratch<T>& scratch) const {
    const RowProblem<T>& p = task.problem;
    if (task.failed >= 0) {
      if (p.base != nullptr) {
        solve_least_norm_with_base(p, row.factors);
      } else {
        solve_least_norm(p, row.factors, row.bias);
      }
    }
    if (method_.minima == nullptr) return;
    const bool has_factor = task.failed < 0 && !by_ratings && (p.base != nullptr || p.n > p.n_factors);
    note_minimum(row, task, has_factor, scratch);
  }

  /// With y = U^-T h and z = U^-T g (kernels/gram.inl) the least value is
  ///   sum 1/2 d t^2 - 1/2 y . y - 1/2 b (s - z . y)
  /// and for implicit_squared the constant is sum 1/2 d t. A row without such a factor is evaluated.
  void note_minimum(const Row& row, const RowTask<T>& solved, bool has_factor, Scratch<T>& scratch) const {
    const RowProblem<T>& p = solved.problem;
    double constant = 0, total = 0;
    for (Index k = 0; k < p.n; ++k) {
      if (p.weights == nullptr) {
        const double t = static_cast<double>(p.values[k] - p.mean -
                                             (p.offsets != nullptr ? p.offsets[p.codes[k]] : T(0)));
        constant += 0.5 * t * t;
        total += t;
      } else {
        const double s = static_cast<double>(p.values[k]), d = static_cast<double>(p.weights[k]);
        constant += p.base != nullptr ? 0.5 * s : d > 0 ? 0.5 * s * s / d : 0.0;
        total += s;
      }
    }
    const double gain = has_factor ? 0.5 * solved.yy + (row.bias != nullptr
                                                            ? 0.5 * static_cast<double>(*row.bias) * (total - solved.zy)
                                                            : 0.0)
                                   : -change_from_zero(row, p, scratch);
    method_.minima->least[static_cast<std::size_t>(row.index)] = constant - gain;
    method_.minima->at_zero[static_cast<std::size_t>(row.index)] = constant;
  }

  /// sum (1/2 d e^2 - d t e) for the estimates e, and the penalties.
  double change_from_zero(const Row& row, const RowProblem<T>& p, Scratch<T>& scratch) const {
    double change = 0;
    terms_.own_estimates(row.ratings, row.factors, row.bias, scratch.estimates);
    for (Index k = 0; k < p.n; ++k) {
      const double e = static_cast<double>(scratch.estimates[static_cast<std::size_t>(k)]);
      const double d = p.weights != nullptr ? static_cast<double>(p.weights[k]) : 1.0;
      const T s = p.weights != nullptr ? p.values[k]
                                       : p.values[k] - p.mean - (p.offsets != nullptr ? p.offsets[p.codes[k]] : T(0));
      change += 0.5 * d * e * e - static_cast<double>(s) * e;
    }
    for (Index f = 0; f < p.n_factors; ++f) {
      const double x = static_cast<double>(row.factors[f]);
      change += 0.5 * static_cast<double>(p.regularization) * x * x;
      if (p.base == nullptr) continue;
      const T* const base = p.base + f * (padded<T>(p.n_factors) + kLanes<T>);
      change += 0.5 * x * static_cast<double>(kernels_.dot(base, row.factors, p.n_factors));
    }
    const double b = row.bias != nullptr ? static_cast<double>(*row.bias) : 0.0;
    return change + 0.5 * static_cast<double>(p.bias_regularization) * b * b;
  }

  const Kernels<T>& kernels_ = kernels<T>();
  const RowTerms<T>& terms_;
  const Method<T>& method_;
  bool has_terms_;
  Index n_factors_;
};

}  // namespace matfac::als
