#include "solvers/als/solve_rows.hpp"

#include <algorithm>

#include "core/parallel.hpp"
#include "regularizers/l2.hpp"
#include "solvers/als/exact_rows.hpp"

namespace matfac::als {
namespace {

/// Rows that a thread takes at a time: enough to find some of like size among them.
constexpr Index kChunk = 128;

/// w_0 V^T V as the kernels want it: symmetric, in rows of a system.
template <class T>
AlignedBuffer<T> base_matrix(const Method<T>& method, Index n_factors) {
  const Index stride = padded<T>(n_factors), lda = stride + kLanes<T>;
  if (method.gram == nullptr) return {};
  auto base = AlignedBuffer<T>::zeros(stride * lda);
  for (Index f = 0; f < n_factors; ++f) {
    for (Index g = 0; g < n_factors; ++g) {
      base[f * lda + g] = static_cast<T>(method.unobserved_weight *
                                         (*method.gram)[static_cast<std::size_t>(f * n_factors + g)]);
    }
  }
  return base;
}

/// All that the rows of a call have in common.
template <class T>
class RowsSolver {
 public:
  RowsSolver(const RatingsView<T>& ratings, Index last, const Fixed<T>& fixed, const Target<T>& target,
             const Method<T>& method)
      : ratings_(ratings),
        last_(last),
        fixed_(fixed),
        target_(target),
        method_(method),
        terms_(fixed, target, method),
        base_(base_matrix(method, target.n_factors)),
        descends_(method.l1_regularization > 0 || method.nonnegative),
        is_exact_(!descends_ && method.row_solver == RowSolver::cholesky),
        has_terms_(ratings.weights != nullptr || method.loss != nullptr || method.gram != nullptr ||
                   !(descends_ || is_exact_)),
        exact_(terms_, method, has_terms_, target.n_factors) {
    if (!descends_ && method.row_solver == RowSolver::subspace) {
      block_size_ = std::min(method.subspace_size, target.n_factors);
      block_bases_ = subspace_bases(base_.data(), target.n_factors, block_size_);
    }
  }

  /// The rows [begin, end) that are not long.
  void solve(Index begin, Index end, Scratch<T>& scratch) const {
    scratch.fetched = nullptr;
    scratch.rows.clear();
    for (Index i = begin; i < end; ++i) {
      const TargetRow<T> row = row_at(i);
      if (row.ratings.n > kLongRow) continue;
      if (row.ratings.n == 0) {
        clear(row);
      } else if (is_exact_ && method_.loss == nullptr) {
        scratch.rows.push_back(row);
      } else {
        solve_alone(row, scratch, 1);
      }
    }
    if (scratch.rows.empty()) return;
    exact_.solve(scratch.rows, [&](const TargetRow<T>& row) { return problem_of(row, scratch); }, scratch);
  }

  /// One row, which must have ratings, with all threads.
  void solve_long(Index i, Scratch<T>& scratch, int n_threads) const { solve_alone(row_at(i), scratch, n_threads); }

 private:
  TargetRow<T> row_at(Index i) const {
    const Index start = ratings_.offsets[i];
    return {i,
            {ratings_.items + start, ratings_.values + start,
             ratings_.weights != nullptr ? ratings_.weights + start : nullptr, ratings_.offsets[i + 1] - start},
            target_.factors + i * target_.stride,
            target_.biases != nullptr ? target_.biases + i : nullptr};
  }

  void clear(const TargetRow<T>& row) const {
    std::fill_n(row.factors, target_.n_factors, T(0));
    if (row.bias != nullptr) *row.bias = T(0);
  }

  RowProblem<T> problem_of(const TargetRow<T>& row, Scratch<T>& scratch) const {
    const Index n = row.ratings.n;
    const double weight = count_weight(n, target_.regularization_exponent);
    return {.fixed = fixed_.factors,
            .fixed_stride = fixed_.stride,
            .is_padded = fixed_.is_padded,
            .n_factors = target_.n_factors,
            .codes = row.ratings.codes,
            .values = row.ratings.values,
            .n = n,
            .n_ahead = last_ - ratings_.offsets[row.index] - n,
            .fetched = &scratch.fetched,
            .offsets = fixed_.biases,
            .has_bias = row.bias != nullptr,
            .mean = fixed_.mean,
            .regularization = static_cast<T>(weight * target_.regularization),
            .bias_regularization = static_cast<T>(weight * target_.bias_regularization),
            .total_weight = static_cast<double>(n),
            .base = base_.data(),
            .l1_regularization = static_cast<T>(weight * method_.l1_regularization),
            .nonnegative = method_.nonnegative};
  }

  void solve_alone(const TargetRow<T>& row, Scratch<T>& scratch, int n_threads) const {
    RowProblem<T> problem = problem_of(row, scratch);
    for (int step = 0; step < (method_.loss != nullptr ? method_.majorizers : 1); ++step) {
      if (is_exact_) {
        exact_.solve_alone(row, problem, scratch, n_threads);
        continue;
      }
      if (has_terms_) terms_(row.ratings, row.factors, row.bias, scratch, problem);
      lower(row, problem, scratch, n_threads);
    }
  }

  /// The ways that are not exact.
  void lower(const TargetRow<T>& row, RowProblem<T>& problem, Scratch<T>& scratch, int n_threads) const {
    const Index width = block_size_ > 0 ? block_size_ : target_.n_factors;
    if (!descends_ && method_.row_solver == RowSolver::conjugate_gradient) {
      provide(scratch.cg_workspace, kernels_.step_row_workspace(width));
      return kernels_.step_row(problem, method_.cg_steps, scratch.cg_workspace.data(), row.factors, row.bias);
    }
    provide(scratch.system, kernels_.row_system_size(width));
    provide(scratch.panels, kernels_.row_panels_size(width));
    if (!descends_) return solve_blocks(row, problem, scratch, n_threads);
    T* const system = scratch.system.data();
    kernels_.descend_row(problem, accumulate(problem, system, scratch.panels.data(), n_threads), system, row.factors,
                         row.bias);
  }

  /// Block after block of factors, each with the bias, for what the present row leaves of the values: with
  /// e_i = d_i t_i - d_i (v_i . x + b), the change of a block's x minimizes the row's objective given the others.
  ///
  /// S. Rendle, W. Krichene, L. Zhang, Y. Koren: iALS++: Speeding up Matrix Factorization with Subspace Optimization.
  /// arXiv:2110.14044, 2021. (They take block after block of all rows; the rows being independent, so may a row.)
  void solve_blocks(const TargetRow<T>& row, const RowProblem<T>& whole, Scratch<T>& scratch, int n_threads) const {
    const Index n_factors = whole.n_factors, size = std::min(method_.subspace_size, n_factors);
    const Index lda = padded<T>(n_factors) + kLanes<T>;
    terms_.own_estimates(row.ratings, row.factors, row.bias, scratch.estimates);
    T *const residuals = scratch.estimates.data(), *const changes = scratch.values.data();
    for (Index i = 0; i < whole.n; ++i) residuals[i] = whole.values[i] - whole.weights[i] * residuals[i];
    std::vector<T> change(static_cast<std::size_t>(size));
    scratch.linear.resize(static_cast<std::size_t>(size));
    RowProblem<T> block = whole;
    block.is_padded = false;  // other factors follow
    block.values = residuals;
    block.linear = scratch.linear.data();
    for (Index first = 0; first < n_factors; first += size) {
      block.n_factors = std::min(size, n_factors - first);
      block.fixed = whole.fixed + first;
      if (whole.base != nullptr) block.base = block_bases_[static_cast<std::size_t>(first / size)].data();
      for (Index f = 0; f < block.n_factors; ++f) {
        T slope = whole.regularization * row.factors[first + f];
        if (whole.base != nullptr) slope += kernels_.dot(whole.base + (first + f) * lda, row.factors, n_factors);
        scratch.linear[static_cast<std::size_t>(f)] = -slope;
      }
      T bias_change = T(0);
      RowTask<T> task{
          .problem = block, .solution = change.data(), .bias = row.bias != nullptr ? &bias_change : nullptr};
      task.total = accumulate(block, scratch.system.data(), scratch.panels.data(), n_threads);
      if (row.bias != nullptr) {
        task.total -= static_cast<double>(whole.bias_regularization) * static_cast<double>(*row.bias);
      }
      kernels_.finish_row(task, scratch.system.data());
      if (task.failed >= 0) continue;  // a block that its ratings do not determine stays as it is
      for (Index f = 0; f < block.n_factors; ++f) row.factors[first + f] += change[static_cast<std::size_t>(f)];
      if (row.bias != nullptr) *row.bias += bias_change;
      kernels_.row_estimates(change.data(), block.fixed, block.fixed_stride, block.n_factors, block.codes, block.n,
                             changes);
      for (Index i = 0; i < whole.n; ++i) residuals[i] -= whole.weights[i] * (changes[i] + bias_change);
    }
  }

  /// The squares on the diagonal of the base, each as a matrix of its own.
  static std::vector<AlignedBuffer<T>> subspace_bases(const T* base, Index n_factors, Index size) {
    std::vector<AlignedBuffer<T>> bases;
    if (base == nullptr) return bases;
    const Index lda = padded<T>(n_factors) + kLanes<T>;
    for (Index first = 0; first < n_factors; first += size) {
      const Index n = std::min(size, n_factors - first), own = padded<T>(n) + kLanes<T>;
      bases.push_back(AlignedBuffer<T>::zeros(padded<T>(n) * own));
      for (Index f = 0; f < n; ++f) std::copy_n(base + (first + f) * lda + first, n, bases.back().data() + f * own);
    }
    return bases;
  }

  const Kernels<T>& kernels_ = kernels<T>();
  const RatingsView<T>& ratings_;
  Index last_;
  const Fixed<T>& fixed_;
  const Target<T>& target_;
  const Method<T>& method_;
  RowTerms<T> terms_;
  AlignedBuffer<T> base_;
  bool descends_, is_exact_, has_terms_;
  ExactRows<T> exact_;
  Index block_size_ = 0;
  std::vector<AlignedBuffer<T>> block_bases_;
};

}  // namespace

template <class T>
void solve_rows(const RatingsView<T>& ratings, Index begin, Index end, const Fixed<T>& fixed, const Target<T>& target,
                int n_threads, const Method<T>& method) {
  const RowsSolver<T> solver(ratings, ratings.offsets[end], fixed, target, method);
  std::vector<Scratch<T>> scratches(static_cast<std::size_t>(resolve_threads(n_threads)));
  // Long rows first, one by one with all threads, then the others, many at once.
  for (Index i = begin; i < end; ++i) {
    if (ratings.offsets[i + 1] - ratings.offsets[i] > kLongRow) solver.solve_long(i, scratches.front(), n_threads);
  }
  parallel_chunks(end - begin, kChunk, n_threads, [&](Index first, Index stop, int thread) {
    solver.solve(begin + first, begin + stop, scratches[static_cast<std::size_t>(thread)]);
  });
}

#define MATFAC_INSTANTIATE(T)                                                                           \
  template void solve_rows(const RatingsView<T>&, Index, Index, const Fixed<T>&, const Target<T>&, int, \
                           const Method<T>&);
MATFAC_INSTANTIATE(float)
MATFAC_INSTANTIATE(double)
#undef MATFAC_INSTANTIATE

}  // namespace matfac::als
