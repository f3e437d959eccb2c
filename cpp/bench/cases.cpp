#include "cases.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <numeric>
#include <span>

#include "matfac/matfac.hpp"
#include "workload.hpp"

namespace matfac::bench {
namespace {

/// Iterations of a fit, of which the first, with the preparation, is left out.
constexpr int kFitIterations = 4;
constexpr Index kTopN = 10;
constexpr std::size_t kCopyBytes = std::size_t{128} << 20;

template <class Work>
double seconds_of(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

/// What the cases share: they hold it by a shared pointer, so that it lives as long as they do.
struct Data {
  Triplets triplets;
  Ratings<float> ratings;

  double nnz() const { return static_cast<double>(ratings.view().nnz()); }
  double rows() const { return static_cast<double>(ratings.n_users + ratings.n_items); }
};

struct Factors {
  Index n_users, n_items, n_factors;
  std::vector<float> user, item, user_gradient, item_gradient, residuals;

  Factors(const Data& data, Index n)
      : n_users(data.ratings.n_users),
        n_items(data.ratings.n_items),
        n_factors(n),
        user(make_factors(n_users, n, 1)),
        item(make_factors(n_items, n, 2)),
        user_gradient(user.size()),
        item_gradient(item.size()),
        residuals(data.ratings.values.size()) {}

  MatrixView<float> U() { return {user.data(), n_users, n_factors}; }
  MatrixView<float> V() { return {item.data(), n_items, n_factors}; }
  MatrixView<float> dU() { return {user_gradient.data(), n_users, n_factors}; }
  MatrixView<float> dV() { return {item_gradient.data(), n_items, n_factors}; }
};

class Builder {
 public:
  Builder(const Options& options, std::shared_ptr<const Data> data) : options_(options), data_(std::move(data)) {}

  void add_data_cases(int threads) {
    const auto data = data_;
    const Options options = options_;
    const double drawn = static_cast<double>(data->triplets.values.size());
    add({"ratings_from_triplets", 0, threads, 0, drawn, "ratings",
         [data, options, threads] { return seconds_of([&] { compress(data->triplets, options, threads); }); }});
    add({"transpose", 0, threads, 0, data->nnz(), "ratings",
         [data, threads] { return seconds_of([&] { transpose<float>(data->ratings.view(), threads); }); }});
  }

  void add_operation_cases(const std::shared_ptr<Factors>& f, int threads) {
    const auto data = data_;
    const Index n = f->n_factors;
    const double F = static_cast<double>(n), nnz = data->nnz();
    add({"residuals", n, threads, 2 * F * nnz, nnz, "ratings", [data, f, threads] {
           return seconds_of([&] { residuals<float>(data->ratings, f->U(), f->V(), f->residuals, threads); });
         }});
    add({"gradients", n, threads, 6 * F * nnz, nnz, "ratings", [data, f, threads] {
           return seconds_of([&] { gradients<float>(data->ratings, f->U(), f->V(), f->dU(), f->dV(), threads); });
         }});
    add({"sgd_epoch, with its preparation", n, threads, 8 * F * nnz, nnz, "ratings", [data, f, threads] {
           // A rate so small that the factors stay what they are.
           return seconds_of([&] { sgd_epoch<float>(data->ratings, f->U(), f->V(), 1e-9, 0, 0, threads); });
         }});
  }

  void add_fit_cases(Index n, int threads) {
    const double F = static_cast<double>(n), nnz = data_->nnz(), rows = data_->rows();
    const double solves = 2 * nnz * (F * F + 3 * F) + rows * (F * F * F / 3 + 2 * F * F);
    add_fit("an epoch of sgd", Solver::sgd, n, threads, 8 * F * nnz);
    add_fit("a sweep of als", Solver::als, n, threads, solves);
    add_fit("a step of batch", Solver::batch, n, threads, 14 * F * nnz);
  }

  void add_top_n_cases(const std::shared_ptr<Factors>& f, int threads) {
    const double scores = static_cast<double>(f->n_users) * static_cast<double>(f->n_items);
    const double flop = 2 * static_cast<double>(f->n_factors) * scores;
    for (const bool exclude_seen : {false, true}) {
      const auto data = data_;
      add({exclude_seen ? "recommend, seen excluded" : "recommend", f->n_factors, threads, flop, scores, "scores",
           [data, f, threads, exclude_seen] {
             std::vector<Code> users(static_cast<std::size_t>(f->n_users));
             std::iota(users.begin(), users.end(), Code{0});
             std::vector<Code> items(users.size() * kTopN);
             std::vector<float> best(items.size());
             const ModelView<float> model{f->U(), f->V(), {}, {}, 0};
             const RatingsView<float> view = data->ratings.view();
             return seconds_of([&] {
               recommend<float>(model, users, kTopN, exclude_seen ? &view : nullptr, {items.data(), f->n_users, kTopN},
                                {best.data(), f->n_users, kTopN}, threads);
             });
           }});
    }
  }

  void add_copy() {
    const auto source = std::make_shared<std::vector<char>>(kCopyBytes, 'a');
    const auto target = std::make_shared<std::vector<char>>(kCopyBytes);
    add({"memcpy, read and written", 0, 1, 0, 2.0 * static_cast<double>(kCopyBytes), "bytes",
         [source, target] { return seconds_of([&] { std::memcpy(target->data(), source->data(), kCopyBytes); }); }});
  }

  std::vector<Case> take() { return std::move(cases_); }

 private:
  void add_fit(const char* name, Solver solver, Index n, int threads, double flop) {
    Settings settings;
    settings.n_factors = n;
    settings.solver = solver;
    settings.biases = false;
    settings.max_iter = kFitIterations;
    settings.n_threads = threads;
    const auto data = data_;
    add({name, n, threads, flop, data->nnz(), "ratings", [data, settings] {
           const Model<float> model = fit<float>(data->ratings, settings);
           std::vector<double> steps;
           for (std::size_t i = 1; i < model.report.history.size(); ++i) {
             steps.push_back(model.report.history[i].seconds - model.report.history[i - 1].seconds);
           }
           return median(steps);
         }});
  }

  void add(Case added) {
    if (added.name.find(options_.only) != std::string::npos) cases_.push_back(std::move(added));
  }

  const Options& options_;
  std::shared_ptr<const Data> data_;
  std::vector<Case> cases_;
};

}  // namespace

std::vector<Case> make_cases(const Options& options) {
  auto data = std::make_shared<Data>();
  data->triplets = make_triplets(options);
  data->ratings = compress(data->triplets, options, options.n_threads.front());
  Builder builder(options, data);
  builder.add_copy();
  for (const int threads : options.n_threads) builder.add_data_cases(threads);
  for (const Index n : options.n_factors) {
    const auto factors = std::make_shared<Factors>(*data, n);
    for (const int threads : options.n_threads) {
      builder.add_operation_cases(factors, threads);
      builder.add_fit_cases(n, threads);
      builder.add_top_n_cases(factors, threads);
    }
  }
  return builder.take();
}

}  // namespace matfac::bench
