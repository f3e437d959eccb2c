#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "make_ratings.hpp"
#include "matfac/fit.hpp"
#include "matfac/model.hpp"
#include "matfac/settings.hpp"

using namespace matfac;
using namespace matfac::test;

namespace {

Settings settings_for(Solver solver) {
  Settings settings;
  settings.solver = solver;
  settings.n_factors = 5;
  settings.max_iter = 12;
  settings.seed = 3;
  return settings;
}

constexpr Solver kSolvers[] = {Solver::als, Solver::sgd, Solver::batch};

template <class T>
bool same_factors(const Model<T>& a, const Model<T>& b) {
  return a.user_factors == b.user_factors && a.item_factors == b.item_factors && a.user_biases == b.user_biases &&
         a.item_biases == b.item_biases && a.global_mean == b.global_mean;
}

}  // namespace

TEST_CASE_TEMPLATE("the objective never rises under als and batch", T, float, double) {
  const Ratings<T> train = make_ratings<T>(60, 45, 0.3);
  for (const Solver solver : {Solver::als, Solver::batch}) {
    for (const bool biases : {false, true}) {
      Settings settings = settings_for(solver);
      settings.biases = biases;
      const Model<T> model = fit<T>(train, settings);
      const auto& history = model.report.history;
      REQUIRE(history.size() == 12);
      for (std::size_t i = 1; i < history.size(); ++i) {
        const double rounding = 1e3 * std::numeric_limits<T>::epsilon() * history[i - 1].objective;
        CHECK(history[i].objective <= history[i - 1].objective + rounding);
      }
      CHECK(history.back().objective < history.front().objective);
    }
  }
}

TEST_CASE_TEMPLATE("every solver gives the same bits at any number of threads, and explains the ratings", T, float,
                   double) {
  const Ratings<T> train = make_ratings<T>(80, 60, 0.2);
  double mean = 0, deviation = 0;
  for (const T r : train.values) mean += static_cast<double>(r) / static_cast<double>(train.values.size());
  for (const T r : train.values) deviation += (static_cast<double>(r) - mean) * (static_cast<double>(r) - mean);
  deviation = std::sqrt(deviation / static_cast<double>(train.values.size()));
  for (const Solver solver : kSolvers) {
    Settings settings = settings_for(solver);
    settings.n_threads = 1;
    const Model<T> serial = fit<T>(train, settings);
    validate<T>(serial);
    CHECK(rmse<T>(serial, train) < deviation);
    CHECK(serial.global_mean == doctest::Approx(mean).epsilon(1e-5));
    for (const int n_threads : kThreads) {
      settings.n_threads = n_threads;
      CHECK(same_factors(fit<T>(train, settings), serial));
    }
  }
}

TEST_CASE("another seed gives other factors, rows without ratings are zero") {
  const Ratings<float> train = make_ratings<float>(30, 20, 0.4);
  for (const Solver solver : kSolvers) {
    Settings settings = settings_for(solver);
    const Model<float> model = fit<float>(train, settings);
    settings.seed = 4;
    CHECK(fit<float>(train, settings).user_factors != model.user_factors);
    const ModelView<float> view = model;
    for (Index k = 0; k < 5; ++k) {
      CHECK(view.user_factors.row(29)[k] == 0);  // make_ratings leaves the last user and item without ratings
      CHECK(view.item_factors.row(19)[k] == 0);
    }
  }
}

TEST_CASE("early stopping gives back the factors of the best iteration") {
  const Ratings<double> train = make_ratings<double>(60, 40, 0.2, 1), eval = make_ratings<double>(60, 40, 0.1, 2);
  Settings settings = settings_for(Solver::als);
  settings.regularization = PerSide{1e-3, 1e-3};  // overfits noise, so that the best iteration is not the last
  settings.max_iter = 60;
  settings.early_stopping = true;
  const RatingsView<double> eval_view = eval;
  const Model<double> model = fit<double>(train, settings, &eval_view);
  const auto& report = model.report;
  REQUIRE(report.stop_reason == StopReason::early_stopping);
  CHECK(report.n_iter - report.best_iteration == settings.patience);
  const auto& best = report.history[static_cast<std::size_t>(report.best_iteration) - 1];
  for (const Iteration& other : report.history) CHECK(best.eval_rmse <= other.eval_rmse);
  CHECK(rmse<double>(model, eval) == doctest::Approx(best.eval_rmse).epsilon(1e-12));
}

TEST_CASE("the caller can stop after an iteration and keeps its factors") {
  const Ratings<float> train = make_ratings<float>(30, 20, 0.4);
  for (const Solver solver : kSolvers) {
    Settings settings = settings_for(solver);
    int calls = 0;
    const Model<float> stopped = fit<float>(train, settings, nullptr, [&](const Iteration& now) {
      CHECK(now.iteration == ++calls);
      return now.iteration < 3;
    });
    CHECK(calls == 3);
    CHECK(stopped.report.n_iter == 3);
    CHECK(stopped.report.stop_reason == StopReason::cancelled);
    if (solver != Solver::sgd) {  // the rates of sgd may depend on max_iter
      settings.max_iter = 3;
      CHECK(same_factors(fit<float>(train, settings), stopped));
    }
  }
}

TEST_CASE("bad settings are refused by name") {
  const Ratings<float> train = make_ratings<float>(30, 20, 0.4);
  const auto with = [&](const auto& change) {
    Settings settings = settings_for(Solver::als);
    change(settings);
    return refusal([&] { fit<float>(train, settings); });
  };
  CHECK(contains(with([](Settings& s) { s.n_factors = 0; }), "n_factors"));
  CHECK(contains(with([](Settings& s) { s.max_iter = 0; }), "max_iter"));
  CHECK(contains(with([](Settings& s) { s.regularization = PerSide{0, -1}; }), "regularization (item)"));
  CHECK(contains(with([](Settings& s) { s.tol = std::nan(""); }), "tol"));
  CHECK(contains(with([](Settings& s) { s.n_threads = -1; }), "n_threads"));
  CHECK(contains(with([](Settings& s) { s.early_stopping = true; }), "eval"));
  CHECK(contains(refusal([] { solver_from_name("adam"); }), "'als', 'sgd', 'batch'"));
  CHECK(contains(refusal([&] { fit<float>(Ratings<float>{}, settings_for(Solver::als)); }), "no ratings"));
}

TEST_CASE("numbers out of hand end in an error with the iteration and the remedy, never in a model of NaN") {
  const Ratings<float> train = make_ratings<float>(30, 20, 0.4);
  Ratings<float> huge = train;
  for (std::size_t i = 0; i < huge.values.size(); ++i) huge.values[i] = i % 2 == 0 ? 3e38f : -3e38f;
  int n_diverged = 0;
  const auto fit_or_diverge = [&](const Ratings<float>& ratings, const Settings& settings) {
    try {
      validate<float>(fit<float>(ratings, settings));
    } catch (const DivergenceError& error) {
      ++n_diverged;
      CHECK(contains(error.what(), "diverged at iteration"));
      CHECK(contains(error.what(), settings.solver == Solver::sgd ? "lower learning_rate" : "raise regularization"));
    }
  };
  for (const Solver solver : kSolvers) {
    Settings settings = settings_for(solver);
    fit_or_diverge(huge, settings);
    settings.learning_rate = 1e30;
    fit_or_diverge(train, settings);
    settings = settings_for(solver);
    settings.init_std = 1e30;
    fit_or_diverge(train, settings);
    settings.regularization = PerSide{0, 0};
    fit_or_diverge(train, settings);
  }
  CHECK(n_diverged > 0);
}
