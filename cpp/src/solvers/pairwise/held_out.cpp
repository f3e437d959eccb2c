#include "solvers/pairwise/held_out.hpp"

#include <algorithm>
#include <iterator>

#include "core/message.hpp"
#include "core/random.hpp"
#include "core/sum.hpp"
#include "kernels/kernels.hpp"
#include "losses/pairwise.hpp"
#include "solvers/pairwise/unrated.hpp"

namespace matfac::pairwise {

template <class T>
HeldOut<T>::HeldOut(const RatingsView<T>& train, const RatingsView<T>& eval, const std::vector<Index>& item_counts,
                    const Settings& settings)
    : eval_(eval), settings_(settings), negatives_(static_cast<std::size_t>(eval.nnz())) {
  std::vector<std::uint64_t> popularity;
  if (settings.negatives == Negatives::popularity) {
    std::uint64_t sum = 0;
    for (const Index count : item_counts) popularity.push_back(sum += static_cast<std::uint64_t>(count));
  }
  parallel_chunks(eval.n_users, 256, settings.n_threads, [&](Index begin, Index end, int) {
    for (Index n = begin; n < end; ++n) draw(train, popularity, n);
  });
  total_weight_ = sum_of([](Index, Index) { return 1.0; });
  require(
      total_weight_ > 0 || !settings.early_stopping,
      "early_stopping has nothing to compare: no user of the eval set has an item that is neither rated nor held out");
}

template <class T>
void HeldOut<T>::draw(const RatingsView<T>& train, const std::vector<std::uint64_t>& popularity, Index n) {
  std::vector<Code> rated;
  std::set_union(train.items + train.offsets[n], train.items + train.offsets[n + 1], eval_.items + eval_.offsets[n],
                 eval_.items + eval_.offsets[n + 1], std::back_inserter(rated));
  Unrated<Code> unrated(eval_.n_items, popularity.empty() ? nullptr : popularity.data(), 0);
  unrated.skip(rated.data(), static_cast<Index>(rated.size()));
  for (Index i = eval_.offsets[n]; i < eval_.offsets[n + 1]; ++i) {
    const Words words = random_words(settings_.seed, Stream::held_out_negatives, static_cast<std::uint64_t>(i) >> 32,
                                     static_cast<std::uint32_t>(i));
    negatives_[static_cast<std::size_t>(i)] = unrated.empty() ? Code{-1} : static_cast<Code>(unrated(words[0]));
  }
}

template <class T>
template <class Term>
double HeldOut<T>::sum_of(const Term& term) const {
  return chunked_sum(eval_.n_users, 1024, settings_.n_threads, [&](Index begin, Index end) {
    double total = 0;
    for (Index n = begin; n < end; ++n) {
      for (Index i = eval_.offsets[n]; i < eval_.offsets[n + 1]; ++i) {
        if (negatives_[static_cast<std::size_t>(i)] < 0) continue;
        total += (eval_.weights != nullptr ? static_cast<double>(eval_.weights[i]) : 1.0) * term(n, i);
      }
    }
    return total;
  });
}

template <class T>
double HeldOut<T>::mean_loss(const FactorsView<T>& factors) const {
  const auto dot = kernels<T>().dot;
  const auto& biases = factors.item_biases;
  const auto estimate = [&](Index n, Code m) {
    const T product = dot(factors.user_factors.row(n), factors.item_factors.row(m), factors.item_factors.cols);
    return static_cast<double>(product) +
           (biases.empty() ? 0.0 : static_cast<double>(biases[static_cast<std::size_t>(m)]));
  };
  const double total = sum_of([&](Index n, Index i) {
    const double x = estimate(n, eval_.items[i]) - estimate(n, negatives_[static_cast<std::size_t>(i)]);
    return settings_.loss == Loss::bpr ? BprLoss::value(x) : WarpLoss::value(x);
  });
  return total / total_weight_;
}

template class HeldOut<float>;
template class HeldOut<double>;

}  // namespace matfac::pairwise
