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
  batch,  ///< preconditioned conjugate gradients on the full gradient, with an exact line search
};

/// What a wrong estimate costs.
enum class Loss {
  squared,  ///< 1/2 (r - r_hat)^2
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
///   1/2 sum (r_nm - r_hat_nm)^2  +  1/2 sum_n w_n (lambda_U |u_n|^2 + beta_U b_n^2)
///                                +  1/2 sum_m w_m (lambda_V |v_m|^2 + beta_V c_m^2)
///   r_hat_nm = mu + b_n + c_m + u_n . v_m
///
/// with lambda = `regularization`, beta = `bias_regularization`, w = (ratings of the user or item) to the power of
/// `regularization_exponent` p, and b = c = 0, mu = 0 without `biases`. Settings that are left open are chosen by the
/// ratings; s is their standard deviation (about `mu`, or about 0 without biases).
struct Settings {
  Index n_factors = 32;  ///< F, at least 1
  Solver solver = Solver::als;
  Loss loss = Loss::squared;
  bool biases = true;                          ///< fit mu (the mean of the training ratings), b and c as well
  std::optional<PerSide> regularization;       ///< lambda, at least 0; open: 1.2 s 100^(1/2 - p)
  std::optional<PerSide> bias_regularization;  ///< beta, at least 0; open: 100^(1/2 - p)
  double regularization_exponent = 0.5;        ///< p; 0: plain, 1: weighted by the number of ratings
  double learning_rate = 0.2;                  ///< sgd: initial rate, in units where s is 1
  int max_iter = 20;                           ///< sweeps (als), epochs (sgd), descent steps (batch)
  double tol = 0;               ///< stop when the objective falls by less than this fraction of itself; 0: never
  bool early_stopping = false;  ///< stop when the held-out RMSE no longer falls; keep the best factors
  int patience = 3;             ///< early stopping: iterations without a new best before stopping
  Init init = Init::random;
  std::optional<double> init_std;  ///< standard deviation of the initial factors; open: sqrt(s / F) / 2
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
/// The inverse; an unknown name is refused with the list of the known ones.
MATFAC_API Solver solver_from_name(std::string_view name);
MATFAC_API Loss loss_from_name(std::string_view name);
/// The losses that `solver` supports: a row of the table of capabilities.
MATFAC_API std::vector<Loss> losses_of(Solver solver);

}  // namespace matfac
