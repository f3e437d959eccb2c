// Rows of new users where what was chosen is compared with what was not. A sample, the same for everybody, stands for
// the latter: 512 items, of which those chosen are left out, or 512 users with `compare_users`. "warp", whose weights
// depend on ranks, has no objective of a row; its rows are those of "bpr".

#include <algorithm>
#include <cmath>

#include "core/parallel.hpp"
#include "core/random.hpp"
#include "core/validate.hpp"
#include "kernels/kernels.hpp"
#include "regularizers/l2.hpp"
#include "solvers/pairwise/comparison.hpp"
#include "solvers/row_finder.hpp"

namespace matfac::pairwise {
namespace {

constexpr Index kSample = 512;

/// At most kSample different codes below n, ascending.
std::vector<Code> sample_of(Index n) {
  std::vector<Code> codes;
  if (n <= kSample) {
    for (Code code = 0; code < n; ++code) codes.push_back(code);
    return codes;
  }
  for (std::uint32_t draw = 0; static_cast<Index>(codes.size()) < kSample; ++draw) {
    const Words words = random_words(0, Stream::others, 0, draw);
    const auto code = static_cast<Code>(to_below(words[0], static_cast<std::uint32_t>(n)));
    const auto place = std::lower_bound(codes.begin(), codes.end(), code);
    if (place == codes.end() || *place != code) codes.insert(place, code);
  }
  return codes;
}

/// Rows of a matrix and their biases (0 without), in double.
template <class T>
void append_row(MatrixView<const T> factors, std::span<const T> biases, Code code, std::vector<double>& rows,
                std::vector<double>& offsets) {
  rows.insert(rows.end(), factors.row(code), factors.row(code) + factors.cols);
  offsets.push_back(biases.empty() ? 0.0 : static_cast<double>(biases[static_cast<std::size_t>(code)]));
}

template <class T>
class PairwiseRowFinder final : public RowFinder<T> {
 public:
  PairwiseRowFinder(const ModelView<T>& model, const Settings& settings) : model_(model), settings_(settings) {
    const MatrixView<const T> known = settings.compare_users ? model.user_factors : model.item_factors;
    require(!settings.compare_users || model.user_factors.data != nullptr,
            "fold_in with compare_users needs the model's users: pass a model that has them");
    codes_ = sample_of(known.rows);
    sample_.size = static_cast<Index>(codes_.size());
    sample_.width = known.cols;
    for (const Code code : codes_) {
      append_row(known, settings.compare_users ? model.user_biases : model.item_biases, code, sample_.rows,
                 sample_.offsets);
    }
    sample_.finish();
  }

  void find(const RatingsView<T>& ratings, MatrixView<T> user_factors, std::span<T> user_biases,
            int n_threads) const override {
    parallel_chunks(ratings.n_users, 4, n_threads, [&](Index begin, Index end, int) {
      for (Index n = begin; n < end; ++n) {
        const std::vector<double> x = row_of(ratings, n);
        if (x.empty()) continue;
        const Index n_factors = user_factors.cols;
        std::transform(x.begin(), x.begin() + n_factors, user_factors.row(n),
                       [](double f) { return static_cast<T>(f); });
        if (static_cast<Index>(x.size()) > n_factors)
          user_biases[static_cast<std::size_t>(n)] = static_cast<T>(x.back());
      }
    });
  }

 private:
  /// Empty for a user who has told nothing.
  std::vector<double> row_of(const RatingsView<T>& ratings, Index n) const {
    const Index begin = ratings.offsets[n], count = ratings.offsets[n + 1] - begin;
    const std::span<const Code> chosen{ratings.items + begin, static_cast<std::size_t>(count)};
    Comparison c;
    c.n_chosen = count;
    for (const Code item : chosen)
      append_row(model_.item_factors, model_.item_biases, item, c.chosen, c.chosen_offsets);
    for (Index i = 0; i < count; ++i) {
      c.weights.push_back(ratings.weights != nullptr ? static_cast<double>(ratings.weights[begin + i]) : 1.0);
    }
    c.width = model_.item_factors.cols;
    const bool has_bias = settings_.compare_users && settings_.biases;
    if (settings_.compare_users) {
      compare_with_users(has_bias, c);
    } else {
      compare_with_items(chosen, c);
    }
    if (c.n_chosen == 0 || c.n_others == 0) return {};
    const double weight = count_weight(count, settings_.regularization_exponent);
    c.penalties.assign(static_cast<std::size_t>(c.width), weight * settings_.regularization->user);
    c.thresholds.assign(static_cast<std::size_t>(c.width), weight * settings_.l1_regularization.user);
    c.is_nonnegative.assign(static_cast<std::size_t>(c.width), settings_.nonnegative);
    if (has_bias) {
      c.penalties.back() = weight * settings_.bias_regularization->user;
      c.thresholds.back() = 0;
      c.is_nonnegative.back() = false;
    }
    return minimize(c, curvature_bound(c));
  }

  void compare_with_items(std::span<const Code> chosen, Comparison& c) const {
    c.sample = &sample_;
    for (Index j = 0; j < sample_.size; ++j) {
      if (std::binary_search(chosen.begin(), chosen.end(), codes_[static_cast<std::size_t>(j)]))
        c.left_out.push_back(j);
    }
    c.n_others = sample_.size - static_cast<Index>(c.left_out.size());
  }

  /// Each chosen item compares the new user with those of the sample, whose scores for it are constant. The user's bias
  /// is a factor of an item that is always 1.
  void compare_with_users(bool has_bias, Comparison& c) const {
    const Index n_factors = c.width;
    const auto dot = kernels<double>().dot;
    c.n_others = sample_.size;
    for (Index i = 0; i < c.n_chosen; ++i) {
      const double* const chosen = c.chosen.data() + i * n_factors;
      for (Index j = 0; j < c.n_others; ++j) {
        c.constant_scores.push_back(dot(sample_.rows.data() + j * n_factors, chosen, n_factors) +
                                    sample_.offsets[static_cast<std::size_t>(j)]);
      }
      c.chosen_offsets[static_cast<std::size_t>(i)] = 0;  // on both sides
    }
    if (!has_bias) return;
    std::vector<double> wider;
    for (Index i = 0; i < c.n_chosen; ++i) {
      wider.insert(wider.end(), c.chosen.begin() + i * n_factors, c.chosen.begin() + (i + 1) * n_factors);
      wider.push_back(1);
    }
    c.chosen = std::move(wider);
    c.width = n_factors + 1;
  }

  ModelView<T> model_;
  Settings settings_;
  std::vector<Code> codes_;  // of the sample
  Sample sample_;
};

}  // namespace

template <class T>
std::unique_ptr<const RowFinder<T>> row_finder(const ModelView<T>& model, const Settings& settings) {
  return std::make_unique<const PairwiseRowFinder<T>>(model, settings);
}

template std::unique_ptr<const RowFinder<float>> row_finder(const ModelView<float>&, const Settings&);
template std::unique_ptr<const RowFinder<double>> row_finder(const ModelView<double>&, const Settings&);

}  // namespace matfac::pairwise
