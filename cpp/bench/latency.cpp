#include "latency.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <random>

#include "matfac/matfac.hpp"
#include "workload.hpp"

namespace matfac::bench {
namespace {

constexpr Index kTopN = 10, kRated = 20;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Visitors with twenty ratings each, and room for what is found.
struct Visitors {
  Visitors(Index n_items, Index n_factors, Index count) : items_(n_items), row(static_cast<std::size_t>(n_factors)) {
    std::mt19937 engine(3);
    std::uniform_int_distribution<Code> item(0, static_cast<Code>(n_items - 1));
    for (Index i = 0; i < count; ++i) {
      std::vector<Code> codes;
      while (codes.size() < static_cast<std::size_t>(std::min(kRated, n_items))) {
        codes.push_back(item(engine));
        std::sort(codes.begin(), codes.end());
        codes.erase(std::unique(codes.begin(), codes.end()), codes.end());
      }
      rated.push_back(std::move(codes));
    }
    offsets[1] = static_cast<Index>(rated.front().size());
    values.assign(rated.front().size(), 4.0f);
  }

  RatingsView<float> ratings(Index i) const {
    return {{1, items_, offsets, rated[static_cast<std::size_t>(i) % rated.size()].data()}, values.data(), nullptr};
  }
  MatrixView<Code> list() { return {found, 1, kTopN}; }
  MatrixView<float> best() { return {scores, 1, kTopN}; }

  Index items_, offsets[2]{0, 0};
  std::vector<std::vector<Code>> rated;
  std::vector<float> values, row;
  float bias = 0;
  Code found[kTopN] = {};
  float scores[kTopN] = {};
};

void print_row(std::FILE* file, const char* name, Index n_factors, Index count, const std::function<void(Index)>& ask) {
  std::vector<double> seconds;
  for (Index i = 0; i < count; ++i) {
    const auto start = std::chrono::steady_clock::now();
    ask(i);
    seconds.push_back(seconds_since(start));
  }
  std::sort(seconds.begin(), seconds.end());
  const auto at = [&](double share) {
    return 1e6 * seconds[static_cast<std::size_t>(share * static_cast<double>(seconds.size() - 1))];
  };
  std::fprintf(file, "%-32s %4lld %10.1f %10.1f %10.1f %10.1f\n", name, static_cast<long long>(n_factors), at(0.5),
               at(0.9), at(0.99), at(0.999));
}

void print_questions(std::FILE* file, const Options& options, Index n_factors) {
  const std::vector<float> U = make_factors(options.n_users, n_factors, 1);
  const std::vector<float> V = make_factors(options.n_items, n_factors, 2);
  const std::vector<float> b = make_factors(options.n_users, 1, 3), c = make_factors(options.n_items, 1, 4);
  const ModelView<float> model{
      {U.data(), options.n_users, n_factors}, {V.data(), options.n_items, n_factors}, b, c, 3.5};
  Settings settings;
  settings.n_factors = n_factors;
  settings.regularization = settings.bias_regularization = PerSide{5, 5};
  const Recommender<float> recommender(model, &settings);
  Visitors visitors(options.n_items, n_factors, 100);
  const auto user = [&](Index i) { return static_cast<Code>(i * 7919 % options.n_users); };
  const Index count = options.latency;
  print_row(file, "recommend", n_factors, count, [&](Index i) {
    const Code asked = user(i);
    recommender.recommend({&asked, 1}, kTopN, {}, visitors.list(), visitors.best());
  });
  print_row(file, "similar_items", n_factors, count, [&](Index i) {
    const Code asked = static_cast<Code>(user(i) % options.n_items);
    recommender.similar_items({&asked, 1}, kTopN, visitors.list(), visitors.best());
  });
  print_row(file, "fold_in of 20 ratings", n_factors, count, [&](Index i) {
    recommender.fold_in(visitors.ratings(i), {visitors.row.data(), 1, n_factors}, {&visitors.bias, 1});
  });
  print_row(file, "both: recommend_new", n_factors, count, [&](Index i) {
    const RatingsView<float> ratings = visitors.ratings(i);
    recommender.recommend_new(ratings, kTopN, {&ratings}, visitors.list(), visitors.best());
  });
  for (const Loss loss : {Loss::implicit_squared, Loss::bpr}) {
    Settings other = settings;
    other.loss = loss;
    other.confidence_scale = 1;
    other.biases = loss == Loss::bpr;
    other.solver = loss == Loss::bpr ? Solver::sgd : Solver::als;
    ModelView<float> choices = model;
    if (!other.biases) choices.user_biases = choices.item_biases = {};
    const FoldIn<float> fold_in(choices, other);
    const std::string name = "fold_in, " + std::string(name_of(loss));
    print_row(file, name.c_str(), n_factors, count, [&](Index i) {
      fold_in(visitors.ratings(i), {visitors.row.data(), 1, n_factors}, {&visitors.bias, other.biases ? 1u : 0u});
    });
  }
}

}  // namespace

void print_latencies(std::FILE* file, const Options& options) {
  const RuntimeInfo info = runtime_info();
  std::fprintf(file, "matfac %s, kernels %s, one thread, %lld items; microseconds of %lld single questions\n",
               info.version.c_str(), info.instruction_set.c_str(), static_cast<long long>(options.n_items),
               static_cast<long long>(options.latency));
  std::fprintf(file, "%-32s %4s %10s %10s %10s %10s\n", "question", "F", "median", "90 %", "99 %", "99.9 %");
  for (const Index n_factors : options.n_factors) print_questions(file, options, n_factors);
}

void print_rate(std::FILE* file, const Options& options) {
  const ModelFile opened = ModelFile::open(options.model_path);
  const ModelView<float> model = opened.model<float>();
  const PatternView seen = opened.record().seen;
  const Recommender<float> recommender(model);
  std::mt19937 engine(1);
  std::uniform_int_distribution<Code> user(0, static_cast<Code>(model.user_factors.rows - 1));
  Code items[kTopN];
  float scores[kTopN];
  Index count = 0;
  const auto start = std::chrono::steady_clock::now();
  double seconds = 0;
  for (; seconds < options.seconds; seconds = seconds_since(start), ++count) {
    const Code asked = user(engine);
    Index offsets[2]{0, 0};
    PatternView own{1, model.item_factors.rows, offsets, nullptr};
    if (seen.n_users > 0) {
      offsets[1] = seen.offsets[asked + 1] - seen.offsets[asked];
      own.items = seen.items + seen.offsets[asked];
    }
    recommender.recommend({&asked, 1}, kTopN, {&own}, {items, 1, kTopN}, {scores, 1, kTopN});
  }
  std::fprintf(file, "%.1f\n", static_cast<double>(count) / seconds);
}

}  // namespace matfac::bench
