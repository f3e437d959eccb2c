#include "solvers/pairwise/steps.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/random.hpp"
#include "losses/pairwise.hpp"
#include "solvers/pairwise/unrated.hpp"

namespace matfac::pairwise {
namespace {

/// The ratings of a block, user by user, and what each user has not rated in its column.
template <class T>
class BlockRatings {
 public:
  BlockRatings(const Epoch<T>& epoch, Index row, Index column)
      : layout_(epoch.layout),
        seed_(epoch.settings.seed),
        part_(static_cast<std::uint64_t>(epoch.number * layout_.n_rows() * layout_.n_columns() +
                                         row * layout_.n_columns() + column)),
        first_(layout_.offsets[static_cast<std::size_t>(row * layout_.n_columns() + column)]),
        n_(layout_.offsets[static_cast<std::size_t>(row * layout_.n_columns() + column) + 1] - first_),
        item_(layout_.item_bounds[static_cast<std::size_t>(column)]),
        unrated_(
            layout_.item_bounds[static_cast<std::size_t>(column) + 1] - item_,
            layout_.popularity.empty() ? nullptr : layout_.popularity.data() + item_,
            layout_.popularity.empty() || item_ == 0 ? 0 : layout_.popularity[static_cast<std::size_t>(item_) - 1]) {}

  /// f(k, user, item): the number of a rating in the block, its user's position in the row, its item's code; only where
  /// there is something to draw.
  template <class F>
  void each(const F& f) {
    const std::uint16_t* const users = layout_.users.data() + first_;
    const std::uint16_t* const items = layout_.items.data() + first_;
    for (Index begin = 0, end = 0; begin < n_; begin = end) {
      while (end < n_ && users[end] == users[begin]) ++end;
      unrated_.skip(items + begin, end - begin);
      if (unrated_.empty()) continue;
      for (Index k = begin; k < end; ++k) f(k, users[k], code(items[k]));
    }
  }

  /// The code of the item, unrated by the user at hand, that draw `i` of the block stands for.
  Code draw(Index i) {
    if (i >> 2 != group_) {
      group_ = i >> 2;
      words_ = random_words(seed_, Stream::negatives, part_, static_cast<std::uint32_t>(group_));
    }
    return code(unrated_(words_[static_cast<std::size_t>(i & 3)]));
  }

  const T* weight(Index k) const { return layout_.weights.empty() ? nullptr : layout_.weights.data() + first_ + k; }

 private:
  Code code(Index position) const { return layout_.item_at[static_cast<std::size_t>(item_ + position)]; }

  const Layout<T>& layout_;
  std::uint64_t seed_, part_;
  Index first_, n_, item_;
  Unrated<std::uint16_t> unrated_;
  Index group_ = -1;
  Words words_{};
};

template <class T>
PairBlock<T> pair_block(const Epoch<T>& epoch, Index row) {
  const Index user = epoch.layout.user_bounds[static_cast<std::size_t>(row)];
  const Settings& s = epoch.settings;
  return {.users = nullptr,
          .items = nullptr,
          .others = nullptr,
          .weights = nullptr,
          .n = 0,
          .user_factors = epoch.users.factors.data() + user * epoch.users.stride,
          .item_factors = epoch.items.factors.data(),
          .user_rows = epoch.users.rows.data() + user,
          .item_rows = epoch.items.rows.data(),
          .stride = epoch.items.stride,
          .is_plain = s.l1_regularization.user == 0 && s.l1_regularization.item == 0 && !s.nonnegative,
          .negative_part = s.nonnegative ? T(0) : T(1)};
}

/// Draws do not depend on the factors: they are made first, and the kernel has the steps of a portion to itself.
template <class T>
double run_bpr(const Epoch<T>& epoch, Index row, Index column) {
  std::array<std::uint16_t, kPortion> users;
  std::array<Code, kPortion> items, others;
  std::vector<T> weights(epoch.layout.weights.empty() ? 0 : kPortion);
  PairBlock<T> block = pair_block(epoch, row);
  block.users = users.data();
  block.items = items.data();
  block.others = others.data();
  block.weights = weights.empty() ? nullptr : weights.data();
  double total = 0;
  const auto run = [&] {
    total += kernels<T>().block_bpr(block);
    block.n = 0;
  };
  BlockRatings<T> ratings(epoch, row, column);
  ratings.each([&](Index k, std::uint16_t user, Code item) {
    const auto at = static_cast<std::size_t>(block.n);
    users[at] = user;
    items[at] = item;
    others[at] = ratings.draw(k);
    if (!weights.empty()) weights[at] = *ratings.weight(k);
    if (++block.n == kPortion) run();
  });
  run();
  return total;
}

/// An item is drawn until its estimate is less than the margin below the rated item's; how long that took says how many
/// such items there are, which is the rated item's rank.
template <class T>
double run_warp(const Epoch<T>& epoch, Index row, Index column) {
  const auto& table = kernels<T>();
  const PairBlock<T> block = pair_block(epoch, row);
  const Index max_trials = epoch.settings.max_trials, draws_each = (max_trials + 3) / 4 * 4;
  const Index user_first = epoch.layout.user_bounds[static_cast<std::size_t>(row)];
  const double unit = 1 / std::log1p(static_cast<double>(epoch.ratings.n_items));
  double total = 0;
  BlockRatings<T> ratings(epoch, row, column);
  ratings.each([&](Index k, std::uint16_t user, Code item) {
    for (Index trial = 0; trial < max_trials; trial += 4) {
      const Index n = std::min<Index>(4, max_trials - trial);
      std::array<Code, 4> others{};
      for (Index i = 0; i < n; ++i) others[static_cast<std::size_t>(i)] = ratings.draw(k * draws_each + trial + i);
      T difference = 0;
      const Index found = table.find_violator(block, user, item, others.data(), n, static_cast<T>(WarpLoss::kMargin),
                                              &difference);
      if (found == n) continue;
      const Code code = epoch.layout.user_at[static_cast<std::size_t>(user_first + user)];
      const Index n_unrated = epoch.ratings.n_items - (epoch.ratings.offsets[code + 1] - epoch.ratings.offsets[code]);
      const Index rank = n_unrated / (trial + found + 1);
      double weight = unit * std::log1p(static_cast<double>(rank));
      if (const T* const given = ratings.weight(k)) weight *= static_cast<double>(*given);
      total += weight * (WarpLoss::kMargin - static_cast<double>(difference));
      table.pair_step(block, user, item, others[static_cast<std::size_t>(found)], static_cast<T>(-weight));
      return;
    }
  });
  return total;
}

}  // namespace

template <class T>
double run_block(const Epoch<T>& epoch, Index row, Index column) {
  return epoch.settings.loss == Loss::bpr ? run_bpr(epoch, row, column) : run_warp(epoch, row, column);
}

template double run_block(const Epoch<float>&, Index, Index);
template double run_block(const Epoch<double>&, Index, Index);

}  // namespace matfac::pairwise
