#include "solvers/als/solve_rows.hpp"

#include <algorithm>
#include <cmath>

#include "core/parallel.hpp"
#include "regularizers/l2.hpp"
#include "solvers/als/least_norm.hpp"
#include "solvers/als/row_terms.hpp"

namespace matfac::als {
namespace {

/// A row with more ratings than this is cut into parts, at most kMaxParts of them.
constexpr Index kLongRow = 1 << 16;
constexpr Index kPart = 1 << 14;
constexpr Index kMaxParts = 32;

/// Accumulates a row's system in parts of a size that its length alone decides, and adds the parts up pairwise: the
/// same bits at any number of threads. Returns the sum of the targets; the system is left in `workspace`.
template <class T>
double accumulate_in_parts(const RowProblem<T>& problem, T* workspace, Index workspace_size, int n_threads) {
  const auto& k = kernels<T>();
  const Index part = std::max(kPart, (problem.n + kMaxParts - 1) / kMaxParts);
  const Index n_parts = (problem.n + part - 1) / part;
  std::vector<AlignedBuffer<T>> buffers(static_cast<std::size_t>(n_parts - 1));
  std::vector<double> totals(static_cast<std::size_t>(n_parts));
  const auto system = [&](Index j) { return j == 0 ? workspace : buffers[static_cast<std::size_t>(j - 1)].data(); };
  parallel_for(n_parts, n_threads, [&](Index j, int) {
    if (j > 0) buffers[static_cast<std::size_t>(j - 1)] = AlignedBuffer<T>(workspace_size);
    const Index start = j * part;
    const Code* fetched = nullptr;
    RowProblem<T> own = problem;
    own.fetched = &fetched;
    totals[static_cast<std::size_t>(j)] = k.accumulate_row(own, start, std::min(part, problem.n - start), true,
                                                           system(j));
  });
  for (Index distance = 1; distance < n_parts; distance *= 2) {
    for (Index j = 0; j + distance < n_parts; j += 2 * distance) {
      k.add_system(problem.n_factors, system(j + distance), system(j));
      totals[static_cast<std::size_t>(j)] += totals[static_cast<std::size_t>(j + distance)];
    }
  }
  return totals[0];
}

/// One row by its least-norm solution, in double. Only for rows that Cholesky cannot solve.
template <class T>
void solve_least_norm(const RowProblem<T>& problem, T* solution, T* bias) {
  const Index n = problem.n, n_factors = problem.n_factors;
  const Index size = n_factors + (bias != nullptr ? 1 : 0);
  std::vector<double> a(static_cast<std::size_t>(n * size), 1.0), r(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i) {
    double* const row = a.data() + i * size;
    std::copy_n(problem.fixed + problem.codes[i] * problem.fixed_stride, n_factors, row);
    const T offset = problem.offsets != nullptr ? problem.offsets[problem.codes[i]] : T(0);
    r[static_cast<std::size_t>(i)] = static_cast<double>(problem.values[i] - problem.mean - offset);
    if (problem.weights == nullptr) continue;
    const double root = std::sqrt(static_cast<double>(problem.weights[i]));
    for (Index f = 0; f < size; ++f) row[f] *= root;
    r[static_cast<std::size_t>(i)] = root > 0 ? static_cast<double>(problem.values[i]) / root : 0.0;
  }
  std::vector<double> penalties(static_cast<std::size_t>(size), static_cast<double>(problem.regularization));
  if (bias != nullptr) penalties.back() = static_cast<double>(problem.bias_regularization);
  const std::vector<double> x = least_norm(a, r, penalties);
  std::transform(x.begin(), x.begin() + n_factors, solution, [](double value) { return static_cast<T>(value); });
  if (bias != nullptr) *bias = static_cast<T>(x.back());
}

/// The same for a system that is more than its ratings, without a bias: (V^T D V + B + lambda I)^+ (h + linear).
template <class T>
void solve_least_norm_with_base(const RowProblem<T>& problem, T* solution) {
  const Index n_factors = problem.n_factors, lda = padded<T>(n_factors) + kLanes<T>;
  std::vector<double> a(static_cast<std::size_t>(n_factors * n_factors)), h(static_cast<std::size_t>(n_factors));
  for (Index f = 0; f < n_factors; ++f) {
    if (problem.linear != nullptr) h[static_cast<std::size_t>(f)] = static_cast<double>(problem.linear[f]);
    for (Index g = 0; g < n_factors; ++g) {
      a[static_cast<std::size_t>(f * n_factors + g)] = static_cast<double>(problem.base[f * lda + g]);
    }
    a[static_cast<std::size_t>(f * n_factors + f)] += static_cast<double>(problem.regularization);
  }
  for (Index i = 0; i < problem.n; ++i) {
    const T* const v = problem.fixed + problem.codes[i] * problem.fixed_stride;
    const double weight = static_cast<double>(problem.weights[i]), value = static_cast<double>(problem.values[i]);
    for (Index f = 0; f < n_factors; ++f) {
      h[static_cast<std::size_t>(f)] += value * static_cast<double>(v[f]);
      const double scaled = weight * static_cast<double>(v[f]);
      for (Index g = 0; g < n_factors; ++g) {
        a[static_cast<std::size_t>(f * n_factors + g)] += scaled * static_cast<double>(v[g]);
      }
    }
  }
  const std::vector<double> x = least_norm_of_system(a, h);
  std::transform(x.begin(), x.end(), solution, [](double value) { return static_cast<T>(value); });
}

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
        is_plain_(ratings.weights == nullptr && method.loss == nullptr && method.gram == nullptr &&
                  (descends_ || method.row_solver == RowSolver::cholesky)) {
    const Index block = std::min(method.subspace_size, target.n_factors);
    const bool has_blocks = method.row_solver == RowSolver::subspace && !descends_;
    workspace_size_ = kernels_.solve_row_workspace(has_blocks ? block : target.n_factors);
    if (has_blocks) block_bases_ = subspace_bases(base_.data(), target.n_factors, block);
    if (method.row_solver == RowSolver::conjugate_gradient && !descends_) {
      workspace_size_ = kernels_.step_row_workspace(target.n_factors);
    }
  }

  void operator()(Index i, Scratch<T>& scratch, int n_threads) const {
    const Index start = ratings_.offsets[i];
    const RowRatings<T> own{ratings_.items + start, ratings_.values + start,
                            ratings_.weights != nullptr ? ratings_.weights + start : nullptr,
                            ratings_.offsets[i + 1] - start};
    T* const row = target_.factors + i * target_.stride;
    T* const bias = target_.biases != nullptr ? target_.biases + i : nullptr;
    if (own.n == 0) {
      std::fill_n(row, target_.n_factors, T(0));
      if (bias != nullptr) *bias = T(0);
      return;
    }
    if (scratch.workspace.size() == 0) scratch.workspace = AlignedBuffer<T>(workspace_size_);
    const double weight = count_weight(own.n, target_.regularization_exponent);
    RowProblem<T> problem{.fixed = fixed_.factors,
                          .fixed_stride = fixed_.stride,
                          .n_factors = target_.n_factors,
                          .codes = own.codes,
                          .values = own.values,
                          .n = own.n,
                          .n_ahead = last_ - start - own.n,
                          .fetched = &scratch.fetched,
                          .offsets = fixed_.biases,
                          .mean = fixed_.mean,
                          .regularization = static_cast<T>(weight * target_.regularization),
                          .bias_regularization = static_cast<T>(weight * target_.bias_regularization),
                          .total_weight = static_cast<double>(own.n),
                          .base = base_.data(),
                          .l1_regularization = static_cast<T>(weight * method_.l1_regularization),
                          .nonnegative = method_.nonnegative};
    for (int step = 0; step < (method_.loss != nullptr ? method_.majorizers : 1); ++step) {
      if (!is_plain_) terms_(own, row, bias, scratch, problem);
      solve(own, problem, scratch, row, bias, n_threads);
    }
  }

 private:
  void solve(const RowRatings<T>& own, RowProblem<T>& problem, Scratch<T>& scratch, T* row, T* bias,
             int n_threads) const {
    T* const workspace = scratch.workspace.data();
    if (descends_) {
      kernels_.descend_row(problem, accumulate(problem, workspace, n_threads), workspace, row, bias);
    } else if (method_.row_solver == RowSolver::conjugate_gradient) {
      kernels_.step_row(problem, method_.cg_steps, workspace, row, bias);
    } else if (method_.row_solver == RowSolver::subspace) {
      solve_blocks(own, problem, scratch, row, bias, n_threads);
    } else {
      const bool has_factor = solve_exactly(problem, workspace, row, bias, n_threads);
      if (method_.minima != nullptr) {
        note_minimum(own, problem, scratch, row, bias, has_factor, (row - target_.factors) / target_.stride);
      }
    }
  }

  double accumulate(const RowProblem<T>& problem, T* workspace, int n_threads) const {
    if (problem.n <= kLongRow) return kernels_.accumulate_row(problem, 0, problem.n, true, workspace);
    return accumulate_in_parts(problem, workspace, kernels_.solve_row_workspace(problem.n_factors), n_threads);
  }

  /// Returns whether the factor of the row's system, in the order of the factors, is left in the workspace.
  bool solve_exactly(const RowProblem<T>& problem, T* workspace, T* row, T* bias, int n_threads) const {
    // Fewer ratings than unknowns and no penalty: singular for certain, whatever rounding makes of the pivots.
    const Index unknowns = problem.n_factors + (bias != nullptr && problem.bias_regularization == T(0) ? 1 : 0);
    Index failed = 0;
    if (problem.base != nullptr || problem.regularization != T(0) || problem.n >= unknowns) {
      if (problem.n <= kLongRow) {
        failed = kernels_.solve_row(problem, workspace, row, bias);
      } else {
        failed = kernels_.finish_row(problem, accumulate(problem, workspace, n_threads), workspace, row, bias);
      }
    }
    if (failed < 0) return problem.base != nullptr || problem.n > problem.n_factors;
    if (problem.base != nullptr) {
      solve_least_norm_with_base(problem, row);
    } else {
      solve_least_norm(problem, row, bias);
    }
    return false;
  }

  /// With y = U^-T h and z = U^-T g, which lie beside the factor (kernels/gram.inl), the least value is
  ///   sum 1/2 d t^2 - 1/2 y . y - 1/2 b (s - z . y)
  /// and for implicit_squared the constant is sum 1/2 d t. A row without such a factor is evaluated.
  void note_minimum(const RowRatings<T>& own, const RowProblem<T>& p, Scratch<T>& scratch, const T* row, const T* bias,
                    bool has_factor, Index i) const {
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
    double gain = 0;
    if (has_factor) {
      const Index stride = padded<T>(p.n_factors), lda = stride + kLanes<T>;
      const T* const first = scratch.workspace.data() + stride;
      double yy = 0, zy = 0;
      for (Index f = 0; f < p.n_factors; ++f) {
        const double y = static_cast<double>(first[f * lda]);
        yy += y * y;
        zy += static_cast<double>(first[f * lda + 1]) * y;
      }
      gain = 0.5 * yy + (bias != nullptr ? 0.5 * static_cast<double>(*bias) * (total - zy) : 0.0);
    } else {
      gain = -change_from_zero(own, p, scratch, row, bias);
    }
    method_.minima->least[static_cast<std::size_t>(i)] = constant - gain;
    method_.minima->at_zero[static_cast<std::size_t>(i)] = constant;
  }

  /// sum (1/2 d e^2 - d t e) for the estimates e, and the penalties.
  double change_from_zero(const RowRatings<T>& own, const RowProblem<T>& p, Scratch<T>& scratch, const T* row,
                          const T* bias) const {
    double change = 0;
    terms_.own_estimates(own, row, bias, scratch.estimates);
    for (Index k = 0; k < p.n; ++k) {
      const double e = static_cast<double>(scratch.estimates[static_cast<std::size_t>(k)]);
      const double d = p.weights != nullptr ? static_cast<double>(p.weights[k]) : 1.0;
      const T s = p.weights != nullptr ? p.values[k]
                                       : p.values[k] - p.mean - (p.offsets != nullptr ? p.offsets[p.codes[k]] : T(0));
      change += 0.5 * d * e * e - static_cast<double>(s) * e;
    }
    for (Index f = 0; f < p.n_factors; ++f) {
      const double x = static_cast<double>(row[f]);
      change += 0.5 * static_cast<double>(p.regularization) * x * x;
      if (p.base == nullptr) continue;
      const T* const base = p.base + f * (padded<T>(p.n_factors) + kLanes<T>);
      change += 0.5 * x * static_cast<double>(kernels_.dot(base, row, p.n_factors));
    }
    const double b = bias != nullptr ? static_cast<double>(*bias) : 0.0;
    return change + 0.5 * static_cast<double>(p.bias_regularization) * b * b;
  }

  /// Block after block of factors, each with the bias, for what the present row leaves of the values: with
  /// e_i = d_i t_i - d_i (v_i . x + b), the change of a block's x minimizes the row's objective given the others.
  ///
  /// S. Rendle, W. Krichene, L. Zhang, Y. Koren: iALS++: Speeding up Matrix Factorization with Subspace Optimization.
  /// arXiv:2110.14044, 2021. (They take block after block of all rows; the rows being independent, so may a row.)
  void solve_blocks(const RowRatings<T>& own, const RowProblem<T>& whole, Scratch<T>& scratch, T* row, T* bias,
                    int n_threads) const {
    const Index n_factors = whole.n_factors, size = std::min(method_.subspace_size, n_factors);
    const Index lda = padded<T>(n_factors) + kLanes<T>;
    terms_.own_estimates(own, row, bias, scratch.estimates);
    T *const residuals = scratch.estimates.data(), *const changes = scratch.values.data();
    for (Index i = 0; i < whole.n; ++i) residuals[i] = whole.values[i] - whole.weights[i] * residuals[i];
    std::vector<T> change(static_cast<std::size_t>(size));
    scratch.linear.resize(static_cast<std::size_t>(size));
    RowProblem<T> block = whole;
    block.values = residuals;
    block.linear = scratch.linear.data();
    for (Index first = 0; first < n_factors; first += size) {
      block.n_factors = std::min(size, n_factors - first);
      block.fixed = whole.fixed + first;
      if (whole.base != nullptr) block.base = block_bases_[static_cast<std::size_t>(first / size)].data();
      for (Index f = 0; f < block.n_factors; ++f) {
        T slope = whole.regularization * row[first + f];
        if (whole.base != nullptr) slope += kernels_.dot(whole.base + (first + f) * lda, row, n_factors);
        scratch.linear[static_cast<std::size_t>(f)] = -slope;
      }
      T bias_change = T(0);
      double total = accumulate(block, scratch.workspace.data(), n_threads);
      if (bias != nullptr) total -= static_cast<double>(whole.bias_regularization) * static_cast<double>(*bias);
      const Index failed = kernels_.finish_row(block, total, scratch.workspace.data(), change.data(),
                                               bias != nullptr ? &bias_change : nullptr);
      if (failed >= 0) continue;  // a block that its ratings do not determine stays as it is
      for (Index f = 0; f < block.n_factors; ++f) row[first + f] += change[static_cast<std::size_t>(f)];
      if (bias != nullptr) *bias += bias_change;
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
  bool descends_, is_plain_;
  Index workspace_size_;
  std::vector<AlignedBuffer<T>> block_bases_;
};

}  // namespace

template <class T>
void solve_rows(const RatingsView<T>& ratings, Index begin, Index end, const Fixed<T>& fixed, const Target<T>& target,
                int n_threads, const Method<T>& method) {
  const RowsSolver<T> solve(ratings, ratings.offsets[end], fixed, target, method);
  std::vector<Scratch<T>> scratches(static_cast<std::size_t>(resolve_threads(n_threads)));
  // Long rows first, one by one with all threads, then the others, many at once.
  const auto is_long = [&](Index i) { return ratings.offsets[i + 1] - ratings.offsets[i] > kLongRow; };
  for (Index i = begin; i < end; ++i) {
    if (is_long(i)) solve(i, scratches.front(), n_threads);
  }
  parallel_chunks(end - begin, 16, n_threads, [&](Index first, Index stop, int thread) {
    Scratch<T>& scratch = scratches[static_cast<std::size_t>(thread)];
    scratch.fetched = nullptr;
    for (Index i = begin + first; i < begin + stop; ++i) {
      if (!is_long(i)) solve(i, scratch, 1);
    }
  });
}

#define MATFAC_INSTANTIATE(T)                                                                           \
  template void solve_rows(const RatingsView<T>&, Index, Index, const Fixed<T>&, const Target<T>&, int, \
                           const Method<T>&);
MATFAC_INSTANTIATE(float)
MATFAC_INSTANTIATE(double)
#undef MATFAC_INSTANTIATE

}  // namespace matfac::als
