#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "matfac/export.hpp"
#include "matfac/ratings.hpp"
#include "matfac/types.hpp"

namespace matfac {

/// How the factors are found. See docs/solvers.md for when to choose which.
enum class Solver {
  als,    ///< alternating least squares: each row solved exactly, by Cholesky
  sgd,    ///< stochastic gradient descent, blocked, with adaptive rates
  batch,  ///< preconditioned conjugate gradients on the full gradient, with a line search
  ccd,    ///< cyclic coordinate descent: each factor of a row minimized exactly, four factors a pass
};

/// What a wrong estimate costs. The pointwise losses look at one rating r and its estimate r_hat; y is 1 where r > 0
/// and else -1, so that labels may be -1 / 1 or 0 / 1.
enum class Loss {
  squared,   ///< 1/2 (r - r_hat)^2
  absolute,  ///< |r - r_hat|
  huber,     ///< 1/2 e^2 where |e| <= t, else t (|e| - t/2);  e = r - r_hat, t = `huber_threshold`
  /// r log(r / r_hat) - r + r_hat, for r >= 0. Estimates are kept from being negative: factors at 0 or above, biases at
  /// -mu/2 or above, so that a row of which little is known is drawn towards the mean.
  kullback_leibler,
  logistic,       ///< log(1 + exp(-y r_hat))
  hinge,          ///< max(0, 1 - y r_hat)
  squared_hinge,  ///< 1/2 max(0, 1 - y r_hat)^2
  /// Of all pairs, rated or not, without biases (iALS): a rated one should be 1, with the weight
  /// unobserved_weight + confidence_scale r; the others should be 0, with the weight unobserved_weight:
  /// 1/2 sum_rated (w_0 + c r) (1 - r_hat)^2 + 1/2 w_0 sum_others r_hat^2.
  implicit_squared,
  bpr,   ///< of a rated item m and one that is not, j: log(1 + exp(-(r_hat_nm - r_hat_nj)))
  warp,  ///< hinge of the same difference with a margin of 1, weighted by the logarithm of m's rank
};

/// A loss of single ratings, and its parameter if it has one.
struct LossFunction {
  Loss loss = Loss::squared;
  double huber_threshold = 1;
};

/// How a row of `als` is solved.
enum class RowSolver {
  cholesky,            ///< exactly
  conjugate_gradient,  ///< by `cg_steps` steps from where it is
  subspace,            ///< block by block of `subspace_size` factors, each exactly (iALS++)
};

/// How the items that a user has not rated are drawn for the losses `bpr` and `warp`.
enum class Negatives {
  uniform,     ///< each alike
  popularity,  ///< in proportion to their ratings
};

/// Where the factors start.
enum class Init {
  random,  ///< independent normal numbers with standard deviation `init_std`, from `seed`
  given,   ///< what the caller's arrays hold
};

/// A number for the users' side and one for the items' side.
struct PerSide {
  double user = 0;
  double item = 0;
};

/// What to compute. The objective that every solver lowers is
///
///   sum q_nm loss(r_nm, r_hat_nm)  +  sum_n w_n (1/2 lambda_U |u_n|^2 + kappa_U |u_n|_1 + 1/2 beta_U b_n^2)
///                                  +  sum_m w_m (1/2 lambda_V |v_m|^2 + kappa_V |v_m|_1 + 1/2 beta_V c_m^2)
///   r_hat_nm = mu + b_n + c_m + u_n . v_m
///
/// with q the weights of the ratings (1 without), lambda = `regularization`, kappa = `l1_regularization`, beta =
/// `bias_regularization`, w = (ratings of the user or item) to the power of `regularization_exponent` p, and b = c = 0,
/// mu = 0 without `biases`. mu is the (weighted) mean of the training ratings for the losses of ratings, the logarithm
/// of the odds for `logistic`, and 0 for the others. User biases stay 0 with `bpr` and `warp` (item biases with
/// `compare_users`): they do not change a comparison.
///
/// Settings that are left open are chosen by the ratings. s is their standard deviation (about `mu`, or about 0 without
/// biases), their mean for `kullback_leibler`, and 1 for losses of labels and choices; with g = s^2 for `squared` and
/// `huber` and g = s for the others, lambda becomes a g / s 100^(1/2 - p) and beta b g / s^2 100^(1/2 - p), where
/// (a, b) is (0.3, 1) for `kullback_leibler`, (0.5, 1) for `logistic`, (1, 4) for `hinge`, (0.6, 3) for
/// `squared_hinge`, (0.15, 1) for `bpr`, (1, 1) for `warp`, and (1.2, 1) for the others.
struct Settings {
  Index n_factors = 32;  ///< F, at least 1
  Solver solver = Solver::als;
  Loss loss = Loss::squared;
  std::optional<double> huber_threshold{};       ///< t of `huber`, above 0; open: s
  bool biases = true;                            ///< fit mu, b and c as well
  std::optional<PerSide> regularization{};       ///< lambda, at least 0; open: see above
  std::optional<PerSide> bias_regularization{};  ///< beta, at least 0; open: see above
  PerSide l1_regularization{};                   ///< kappa, at least 0
  double regularization_exponent = 0.5;          ///< p; 0: plain, 1: weighted by the number of ratings
  bool nonnegative = false;                      ///< keep all factors at 0 or above
  double learning_rate = 0.2;                    ///< sgd: initial rate, in units where s is 1
  RowSolver row_solver = RowSolver::cholesky;    ///< als: how a row is solved
  int cg_steps = 3;                              ///< als: steps of `conjugate_gradient` a row and sweep, at least 1
  Index subspace_size = 64;                      ///< als: factors in a block of `subspace`, at least 1
  double unobserved_weight = 0.3;                ///< implicit_squared: w_0, above 0
  std::optional<double> confidence_scale{};      ///< implicit_squared: c, above 0; open: 1 / (weighted) mean strength
  Negatives negatives = Negatives::uniform;      ///< bpr, warp: how they are drawn
  int max_trials = 64;                           ///< warp: draws until a negative violates the margin, at least 1
  bool compare_users = false;                    ///< bpr, warp: for an item compare users, instead of items for a user
  int max_iter = 20;                             ///< sweeps (als, ccd), epochs (sgd), descent steps (batch)
  double tol = 0;               ///< stop when the objective falls by less than this fraction of itself; 0: never
  bool early_stopping = false;  ///< stop when the held-out error no longer falls; keep the best factors
  int patience = 3;             ///< early stopping: iterations without a new best before stopping
  Init init = Init::random;
  std::optional<double> init_std{};  ///< standard deviation of the initial factors; open: sqrt(s / F) / 2;
                                     ///< sqrt(pi s / (2 F)) where products alone make up the mean (nonnegative, mu = 0)
  std::uint64_t seed = 0;
  int n_threads = 0;  ///< 0: all; the result does not depend on it
};

/// The settings with nothing left open, as `fit` would use them on these ratings. Throws as `validate` does.
template <class T>
MATFAC_API Settings resolved(const Settings& settings, const RatingsView<T>& ratings);

/// Throws InvalidArgument, naming the setting, its value and the rule, unless every setting is in range and the solver
/// supports the loss.
MATFAC_API void validate(const Settings& settings);

/// The names used in Python, on the command line and in the model file.
MATFAC_API std::string_view name_of(Solver solver);
MATFAC_API std::string_view name_of(Loss loss);
MATFAC_API std::string_view name_of(RowSolver row_solver);
MATFAC_API std::string_view name_of(Negatives negatives);
/// The inverse; an unknown name is refused with the list of the known ones.
MATFAC_API Solver solver_from_name(std::string_view name);
MATFAC_API Loss loss_from_name(std::string_view name);
MATFAC_API RowSolver row_solver_from_name(std::string_view name);
MATFAC_API Negatives negatives_from_name(std::string_view name);
/// The losses that `solver` supports: a row of the table of capabilities.
MATFAC_API std::vector<Loss> losses_of(Solver solver);

}  // namespace matfac
