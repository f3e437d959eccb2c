#include "solvers/pairwise/comparison.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/kernels.hpp"

namespace matfac::pairwise {
namespace {

constexpr int kMaxSteps = 200, kMaxPasses = 64;
constexpr double kLeastStep = 1e-5;

double dot(const double* a, const double* b, Index n) { return n > 0 ? kernels<double>().dot(a, b, n) : 0.0; }
void add(double scale, const double* x, Index n, double* y) {
  for (Index f = 0; f < n; ++f) y[f] += scale * x[f];
}
/// Adds scale / (1 + a others[j]) to each pull; returns their sum.
double add_pulls(double scale, double a, const double* __restrict others, Index n, double* __restrict pulls) {
  constexpr Index kTogether = 4;
  double totals[kTogether] = {};
  Index j = 0;
  for (; j + kTogether <= n; j += kTogether) {
    for (Index k = 0; k < kTogether; ++k) {
      const double pull = scale / (1 + a * others[j + k]);
      totals[k] += pull;
      pulls[j + k] += pull;
    }
  }
  double total = (totals[0] + totals[1]) + (totals[2] + totals[3]);
  for (; j < n; ++j) {
    const double pull = scale / (1 + a * others[j]);
    total += pull;
    pulls[j] += pull;
  }
  return total;
}
double norm(const std::vector<double>& x) { return std::sqrt(dot(x.data(), x.data(), static_cast<Index>(x.size()))); }

/// The gradient of the sum, without the thresholds'.
class Gradient {
 public:
  explicit Gradient(const Comparison& c)
      : c_(c),
        n_rows_(c.sample != nullptr ? c.sample->size : c.n_others),
        chosen_(static_cast<std::size_t>(c.n_chosen)),
        others_(static_cast<std::size_t>(c.sample != nullptr ? n_rows_ : c.n_chosen * n_rows_)),
        pulls_(static_cast<std::size_t>(n_rows_)) {
    for (std::size_t i = 0; i < c_.constant_scores.size(); ++i) others_[i] = bounded_exp(-c_.constant_scores[i]);
  }

  /// A pair's derivative is 1 / (1 + e^s e^-t): one exponential a score, none a pair.
  void operator()(const std::vector<double>& x, std::vector<double>& out) {
    for (std::size_t f = 0; f < x.size(); ++f) out[f] = c_.penalties[f] * x[f];
    for (Index i = 0; i < c_.n_chosen; ++i) {
      chosen_[i] = bounded_exp(dot(c_.chosen.data() + i * c_.width, x.data(), c_.width) + c_.chosen_offsets[i]);
    }
    if (c_.sample != nullptr) score_sample(x);
    std::fill(pulls_.begin(), pulls_.end(), 0.0);
    for (Index i = 0; i < c_.n_chosen; ++i) {
      const double* const others = others_.data() + (c_.sample != nullptr ? 0 : i * n_rows_);
      const double scale = c_.weights[i] / static_cast<double>(c_.n_others);
      const double total = add_pulls(scale, chosen_[i], others, n_rows_, pulls_.data());
      add(-total, c_.chosen.data() + i * c_.width, c_.width, out.data());
    }
    if (c_.sample == nullptr) return;
    for (Index f = 0; f < c_.width; ++f) {
      out[f] += dot(pulls_.data(), c_.sample->columns.data() + f * n_rows_, n_rows_);
    }
  }

 private:
  /// So that no product of two is infinity times zero.
  static double bounded_exp(double x) { return std::exp(std::clamp(x, -350.0, 350.0)); }

  void score_sample(const std::vector<double>& x) {
    const Sample& sample = *c_.sample;
    for (Index j = 0; j < n_rows_; ++j) {
      others_[j] = bounded_exp(-dot(sample.rows.data() + j * c_.width, x.data(), c_.width) - sample.offsets[j]);
    }
    for (const Index j : c_.left_out) others_[j] = std::numeric_limits<double>::infinity();  // pulls nothing
  }

  const Comparison& c_;
  Index n_rows_;
  std::vector<double> chosen_, others_, pulls_;
};

/// Minimizes g . d + 1/2 d' H d + the penalties' thresholds over x = y + d.
class Step {
 public:
  Step(const Comparison& c, const std::vector<double>& bound) : c_(c), bound_(bound) {
    const bool plain = std::all_of(c.thresholds.begin(), c.thresholds.end(), [](double t) { return t == 0; }) &&
                       std::none_of(c.is_nonnegative.begin(), c.is_nonnegative.end(), [](char is) { return is; });
    if (plain) factorize();
  }

  void operator()(const std::vector<double>& y, const std::vector<double>& gradient, std::vector<double>& x) const {
    if (factor_.empty()) {
      descend(y, gradient, x);
    } else {
      solve(gradient, x);
      for (std::size_t f = 0; f < x.size(); ++f) x[f] = y[f] - x[f];
    }
  }

 private:
  double at(Index i, Index j) const { return bound_[static_cast<std::size_t>(i * c_.width + j)]; }

  /// H = L L', row by row.
  void factorize() {
    const Index n = c_.width;
    factor_ = bound_;
    for (Index i = 0; i < n; ++i) {
      double* const row = factor_.data() + i * n;
      for (Index j = 0; j <= i; ++j) {
        const double* const other = factor_.data() + j * n;
        const double rest = row[j] - dot(row, other, j);
        row[j] = i == j ? std::sqrt(std::max(rest, std::numeric_limits<double>::min())) : rest / other[j];
      }
    }
  }

  void solve(const std::vector<double>& right, std::vector<double>& x) const {
    const Index n = c_.width;
    for (Index i = 0; i < n; ++i) {
      const double* const row = factor_.data() + i * n;
      x[i] = (right[i] - dot(row, x.data(), i)) / row[i];
    }
    for (Index i = n; i-- > 0;) {
      const double* const row = factor_.data() + i * n;
      x[i] /= row[i];
      for (Index j = 0; j < i; ++j) x[j] -= row[j] * x[i];
    }
  }

  /// By coordinates, as kernels/coordinate_descent.inl.
  void descend(const std::vector<double>& y, const std::vector<double>& gradient, std::vector<double>& x) const {
    x = y;
    std::vector<double> slope = gradient;
    for (int pass = 0; pass < kMaxPasses; ++pass) {
      double change = 0, largest = 0;
      for (Index f = 0; f < c_.width; ++f) {
        const double curvature = at(f, f), center = x[f] - slope[f] / curvature, kappa = c_.thresholds[f] / curvature;
        double moved = center > kappa ? center - kappa : center < -kappa ? center + kappa : 0.0;
        if (c_.is_nonnegative[f]) moved = std::max(moved, 0.0);
        const double by = moved - x[f];
        x[f] = moved;
        change = std::max(change, std::abs(by));
        largest = std::max(largest, std::abs(moved));
        if (by != 0) add(by, bound_.data() + f * c_.width, c_.width, slope.data());
      }
      if (change <= 1e-9 * largest) return;
    }
  }

  const Comparison& c_;
  const std::vector<double>& bound_;
  std::vector<double> factor_;
};

}  // namespace

void Sample::finish() {
  columns.resize(rows.size());
  for (Index j = 0; j < size; ++j) {
    for (Index f = 0; f < width; ++f) columns[f * size + j] = rows[j * width + f];
  }
  gram.resize(static_cast<std::size_t>(width * width));
  for (Index f = 0; f < width; ++f) {
    for (Index g = 0; g < width; ++g) {
      gram[f * width + g] = dot(columns.data() + f * size, columns.data() + g * size, size);
    }
  }
}

// The logistic function curves by 1/4 at the most, so that
//   1/4 sum_i q_i 1/k sum_j (p_i - o_j)(p_i - o_j)' = 1/4 (P'QP + (sum q) O'O / k - P'q o' - o q'P),   o the mean of
//   o_j.
std::vector<double> curvature_bound(const Comparison& c) {
  const Index n = c.width;
  std::vector<double> bound(static_cast<std::size_t>(n * n)), mean(static_cast<std::size_t>(n)), pulled(mean);
  double total = 0;
  for (Index i = 0; i < c.n_chosen; ++i) {
    const double* const p = c.chosen.data() + i * n;
    total += c.weights[i];
    add(c.weights[i], p, n, pulled.data());
    for (Index f = 0; f < n; ++f) add(0.25 * c.weights[i] * p[f], p, n, bound.data() + f * n);
  }
  if (c.sample != nullptr) {
    const Sample& sample = *c.sample;
    const double scale = 0.25 * total / static_cast<double>(c.n_others);
    for (std::size_t k = 0; k < bound.size(); ++k) bound[k] += scale * sample.gram[k];
    std::vector<double> counts(static_cast<std::size_t>(sample.size), 1.0 / static_cast<double>(c.n_others));
    for (const Index j : c.left_out) {
      const double* const o = sample.rows.data() + j * n;
      counts[static_cast<std::size_t>(j)] = 0;
      for (Index f = 0; f < n; ++f) add(-scale * o[f], o, n, bound.data() + f * n);
    }
    for (Index f = 0; f < n; ++f) mean[f] = dot(counts.data(), sample.columns.data() + f * sample.size, sample.size);
    for (Index f = 0; f < n; ++f) {
      add(-0.25 * pulled[f], mean.data(), n, bound.data() + f * n);
      add(-0.25 * mean[f], pulled.data(), n, bound.data() + f * n);
    }
  }
  double trace = 0;
  for (Index f = 0; f < n; ++f) trace += bound[static_cast<std::size_t>(f * n + f)];
  // Without a penalty the bound may be singular; the least of ridges keeps it solvable.
  const double ridge = 1e-9 * trace / static_cast<double>(n) + 1e-300;
  for (Index f = 0; f < n; ++f) bound[static_cast<std::size_t>(f * n + f)] += c.penalties[f] + ridge;
  return bound;
}

std::vector<double> minimize(const Comparison& c, const std::vector<double>& bound) {
  const auto n = static_cast<std::size_t>(c.width);
  std::vector<double> x(n), y(n), before(n), gradient(n);
  Gradient slope(c);
  const Step minimize_parabola(c, bound);
  double momentum = 1;
  for (int step = 0; step < kMaxSteps; ++step) {
    slope(y, gradient);
    std::swap(x, before);
    minimize_parabola(y, gradient, x);
    double length = 0, against = 0;
    for (std::size_t f = 0; f < n; ++f) {
      length += (x[f] - y[f]) * (x[f] - y[f]);
      against += (y[f] - x[f]) * (x[f] - before[f]);
    }
    if (std::sqrt(length) <= kLeastStep * norm(x)) break;
    if (against > 0) momentum = 1;
    const double next = (1 + std::sqrt(1 + 4 * momentum * momentum)) / 2, push = (momentum - 1) / next;
    momentum = next;
    for (std::size_t f = 0; f < n; ++f) y[f] = x[f] + push * (x[f] - before[f]);
  }
  return x;
}

}  // namespace matfac::pairwise
