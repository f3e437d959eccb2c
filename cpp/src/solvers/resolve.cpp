#include "solvers/resolve.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "core/sum.hpp"
#include "core/validate.hpp"
#include "solvers/loss_loops.hpp"

namespace matfac {
namespace {

constexpr Index kChunk = 1 << 14;

/// The sum of weight times f(rating), by a fixed shape.
template <class T, class F>
double weighted_sum(const RatingsView<T>& ratings, int n_threads, const F& f) {
  return chunked_sum(ratings.nnz(), kChunk, n_threads, [&](Index begin, Index end) {
    double sum = 0;
    for (Index i = begin; i < end; ++i) {
      const double weight = ratings.weights != nullptr ? static_cast<double>(ratings.weights[i]) : 1.0;
      sum += weight * f(static_cast<double>(ratings.values[i]));
    }
    return sum;
  });
}

/// The sum of the losses where every estimate is mu.
template <class T>
double constant_loss(const RatingsView<T>& ratings, const Settings& settings, const RatingMoments& moments) {
  const auto loops = loss_loops<T>(settings.loss, loss_parameter(settings, moments), false);
  const std::vector<T> estimates(static_cast<std::size_t>(kChunk), static_cast<T>(moments.center));
  return chunked_sum(ratings.nnz(), kChunk, settings.n_threads, [&](Index begin, Index end) {
    return loops.loss.evaluate(ratings.values + begin, estimates.data(),
                               ratings.weights != nullptr ? ratings.weights + begin : nullptr, end - begin,
                               loops.loss.parameter, nullptr, 0.0);
  });
}

/// What the model adds to every estimate: where the loss of a constant is least, or near it.
double center_of(Loss loss, double mean) {
  switch (loss) {
    case Loss::squared:
    case Loss::absolute:
    case Loss::huber:
    case Loss::kullback_leibler: return mean;
    case Loss::logistic: {
      const double share = std::clamp(mean, 1e-3, 1 - 1e-3);
      return std::log(share / (1 - share));
    }
    default: return 0;
  }
}

/// The penalties' default strength on factors and on biases.
struct Strength {
  double factors, biases;
};
Strength strength_of(Loss loss) {
  switch (loss) {
    case Loss::kullback_leibler: return {0.3, 1};
    case Loss::logistic: return {0.5, 1};
    case Loss::hinge: return {1, 4};
    case Loss::squared_hinge: return {0.6, 3};
    case Loss::bpr: return {0.15, 1};
    case Loss::warp: return {1, 1};
    default: return {1.2, 1};
  }
}

}  // namespace

bool is_label_loss(Loss loss) { return loss == Loss::logistic || loss == Loss::hinge || loss == Loss::squared_hinge; }

template <class T>
double total_weight(const RatingsView<T>& ratings, int n_threads) {
  return weighted_sum(ratings, n_threads, [](double) { return 1.0; });
}

template <class T>
RatingMoments rating_moments(const RatingsView<T>& ratings, const Settings& settings) {
  const int n_threads = settings.n_threads;
  const bool is_label = is_label_loss(settings.loss);
  RatingMoments moments;
  moments.total_weight = total_weight(ratings, n_threads);
  require(moments.total_weight > 0, "all weights of the ratings are 0: there is nothing to fit");
  const double mean = weighted_sum(ratings, n_threads, [&](double r) { return is_label ? (r > 0 ? 1.0 : 0.0) : r; }) /
                      moments.total_weight;
  if (settings.biases) moments.center = static_cast<double>(static_cast<T>(center_of(settings.loss, mean)));
  if (settings.loss == Loss::kullback_leibler) {
    if (mean > 0) moments.deviation = mean;
  } else if (is_point_loss(settings.loss) && !is_label) {
    const double squares = weighted_sum(ratings, n_threads,
                                        [&](double r) { return (r - moments.center) * (r - moments.center); });
    const double deviation = std::sqrt(squares / moments.total_weight);
    if (deviation > 0) moments.deviation = deviation;
  }
  if (settings.loss == Loss::squared) {
    moments.zero_loss = 0.5 * moments.total_weight * moments.deviation * moments.deviation;
  } else if (is_point_loss(settings.loss)) {
    moments.zero_loss = constant_loss(ratings, settings, moments);
  } else if (settings.loss == Loss::implicit_squared) {
    moments.confidence_scale = 1 / mean;
    const double confidence_scale = settings.confidence_scale.value_or(moments.confidence_scale);
    moments.zero_loss = 0.5 * weighted_sum(ratings, n_threads,
                                           [&](double r) { return settings.unobserved_weight + confidence_scale * r; });
  } else {
    moments.zero_loss = moments.total_weight;  // of both pairwise losses, about
  }
  return moments;
}

template <class T>
void validate_for_loss(const RatingsView<T>& ratings, const Settings& settings) {
  const Loss loss = settings.loss;
  const bool is_label = is_label_loss(loss),
             is_positive = loss == Loss::implicit_squared || loss == Loss::bpr || loss == Loss::warp;
  const bool is_not_negative = loss == Loss::kullback_leibler || (settings.nonnegative && !is_label);
  if (!is_label && !is_positive && !is_not_negative) return;
  parallel_chunks(ratings.n_users, 2048, settings.n_threads, [&](Index begin, Index end, int) {
    for (Index n = begin; n < end; ++n) {
      for (Index i = ratings.offsets[n]; i < ratings.offsets[n + 1]; ++i) {
        const T r = ratings.values[i];
        const auto refuse = [&](const auto&... rule) {
          throw InvalidArgument(message("rating ", r, " at entry ", i, " (user code ", n, ", item code ",
                                        ratings.items[i], ") ", rule...));
        };
        if (is_label && r != T(1) && r != T(0) && r != T(-1)) {
          refuse("is no label: loss '", name_of(loss), "' takes 1 for yes and -1 or 0 for no");
        }
        if (is_positive && !(r > T(0))) {
          refuse("is not positive: loss '", name_of(loss), "' takes what a user has chosen; leave out what was not");
        }
        if (is_not_negative && r < T(0)) {
          refuse("is negative: ", loss == Loss::kullback_leibler ? "loss 'kullback_leibler'" : "a nonnegative model",
                 " takes ratings of at least 0");
        }
      }
    }
  });
  if (!is_label) return;
  // One way of saying no, so that it can be said in answers.
  Index zero = -1, minus = -1;
  for (Index i = 0; i < ratings.nnz() && (zero < 0 || minus < 0); ++i) {
    if (ratings.values[i] == T(0)) zero = i;
    if (ratings.values[i] < T(0)) minus = i;
  }
  require(zero < 0 || minus < 0, "labels 0 (entry ", zero, ") and -1 (entry ", minus,
          ") both stand for no: use one of them throughout");
}

double objective_unit(Loss loss, double deviation) {
  return loss == Loss::squared || loss == Loss::huber ? deviation * deviation : deviation;
}

double least_bias(Loss loss, double center) {
  return loss == Loss::kullback_leibler ? -center / 2 : -std::numeric_limits<double>::infinity();
}

Settings resolve(Settings settings, const RatingMoments& moments) {
  // Calibrated at p = 1/2 on data of very different sizes (docs/solvers.md); for another p, a row of 100 ratings keeps
  // its weight. In units where s is 1 a penalty does not depend on the scale of the ratings.
  const double by_exponent = std::pow(100.0, 0.5 - settings.regularization_exponent);
  const double s = moments.deviation, unit = objective_unit(settings.loss, s);
  const Strength strength = strength_of(settings.loss);
  const double regularization = strength.factors * unit / s * by_exponent;
  const double bias_regularization = strength.biases * unit / (s * s) * by_exponent;
  if (!settings.regularization) settings.regularization = PerSide{regularization, regularization};
  if (!settings.bias_regularization) settings.bias_regularization = PerSide{bias_regularization, bias_regularization};
  if (!settings.huber_threshold) settings.huber_threshold = s;
  if (settings.loss == Loss::implicit_squared && !settings.confidence_scale) {
    settings.confidence_scale = moments.confidence_scale;
  }
  if (settings.loss == Loss::kullback_leibler) settings.nonnegative = true;
  if (!settings.init_std) {
    // Products of factors that are not negative have a mean: the ratings' own, if nothing else can make it up.
    const bool makes_up = settings.nonnegative && moments.center == 0;
    settings.init_std = std::sqrt((makes_up ? std::numbers::pi / 2 : 0.25) * s /
                                  static_cast<double>(settings.n_factors));
  }
  return settings;
}

double loss_parameter(const Settings& settings, const RatingMoments& moments) {
  if (settings.loss == Loss::huber) return settings.huber_threshold.value_or(moments.deviation);
  if (settings.loss == Loss::absolute) return 1e-3 * moments.deviation;
  return 0;
}

template <class T>
Settings resolved(const Settings& settings, const RatingsView<T>& ratings) {
  validate(settings);
  validate(ratings, settings.n_threads);
  require(ratings.nnz() > 0, "there are no ratings to choose the open settings by");
  validate_for_loss(ratings, settings);
  return resolve(settings, rating_moments(ratings, settings));
}

#define MATFAC_INSTANTIATE(T)                                                    \
  template double total_weight(const RatingsView<T>&, int);                      \
  template RatingMoments rating_moments(const RatingsView<T>&, const Settings&); \
  template void validate_for_loss(const RatingsView<T>&, const Settings&);       \
  template MATFAC_API Settings resolved(const Settings&, const RatingsView<T>&);
MATFAC_INSTANTIATE(float)
MATFAC_INSTANTIATE(double)
#undef MATFAC_INSTANTIATE

}  // namespace matfac
