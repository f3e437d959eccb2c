#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "core/message.hpp"
#include "core/parallel.hpp"
#include "core/validate.hpp"

/// What numbering integers and numbering strings have in common. The input is cut into parts; each is numbered by a
/// table of its own, in the order of first appearance; then the distinct keys of all tables, which are few, are sorted
/// and merged, and their ranks replace the provisional codes.
namespace matfac {

/// How many tables are worth their setting up for `n` keys.
inline Index numbering_parts(Index n, int n_threads) {
  constexpr Index kLeast = 1 << 14;
  return std::clamp<Index>(n / kLeast, 1, resolve_threads(n_threads));
}

/// A distinct key of one part. `Key` has `<` and `==`.
template <class Key>
struct Distinct {
  Key key;
  Code code;  ///< provisional: its number in the part's table
  Code part;
};

/// The ranks of the parts' provisional codes, and the distinct keys of all parts in their order.
template <class Key>
struct Ranking {
  std::vector<std::vector<Code>> ranks;  ///< [part][provisional code]
  std::vector<Key> keys;
};

/// Sorts and merges what `distinct(part)` returns for each part, an unsorted vector of Distinct<Key>.
template <class Key, class F>
Ranking<Key> rank_keys(Index n_parts, int n_threads, const F& distinct) {
  using Item = Distinct<Key>;
  const auto less = [](const Item& a, const Item& b) { return a.key < b.key; };
  std::vector<std::vector<Item>> sorted(static_cast<std::size_t>(n_parts));
  Ranking<Key> ranking;
  ranking.ranks.resize(sorted.size());
  parallel_for(n_parts, n_threads, [&](Index part, int) {
    auto& items = sorted[static_cast<std::size_t>(part)];
    items = distinct(part);
    std::sort(items.begin(), items.end(), less);
    ranking.ranks[static_cast<std::size_t>(part)].resize(items.size());
  });
  // Pairs of parts are merged until one is left.
  for (std::size_t step = 1; step < sorted.size(); step *= 2) {
    const auto pairs = static_cast<Index>((sorted.size() - step + 2 * step - 1) / (2 * step));
    parallel_for(pairs, n_threads, [&](Index pair, int) {
      auto& a = sorted[static_cast<std::size_t>(pair) * 2 * step];
      auto& b = sorted[static_cast<std::size_t>(pair) * 2 * step + step];
      std::vector<Item> merged(a.size() + b.size());
      std::merge(a.begin(), a.end(), b.begin(), b.end(), merged.begin(), less);
      a = std::move(merged);
      b = {};
    });
  }
  for (const Item& item : sorted.front()) {
    if (ranking.keys.empty() || !(ranking.keys.back() == item.key)) ranking.keys.push_back(item.key);
    ranking.ranks[static_cast<std::size_t>(item.part)][static_cast<std::size_t>(item.code)] = static_cast<Code>(
        ranking.keys.size() - 1);
  }
  require(static_cast<Index>(ranking.keys.size()) < kMaxCodes, ranking.keys.size(),
          " distinct ids are too many: codes are 32-bit, so that there must be fewer than 2,147,483,648");
  return ranking;
}

/// Replaces provisional codes by their ranks.
inline void replace_codes(std::span<Code> codes, const std::vector<Code>& ranks) {
  for (Code& code : codes) code = ranks[static_cast<std::size_t>(code)];
}

}  // namespace matfac
