#pragma once

#include <algorithm>
#include <vector>

#include "core/parallel.hpp"
#include "matfac/types.hpp"

namespace matfac {

/// How many parts the input of a counting sort is read in: one a thread, unless the tables of counts (one a part) would
/// outweigh the entries themselves. The result of the sort does not depend on it.
inline Index counting_sort_parts(Index n_entries, Index n_keys, int n_threads) {
  const Index affordable = n_entries / (4 * std::max<Index>(1, n_keys));
  return std::clamp<Index>(affordable, 1, resolve_threads(n_threads));
}

/// A stable counting sort of entries by key, in parallel; returns the offsets of the keys (n_keys + 1).
///
/// `visit(part, f)` calls f(key, entry) for the entries of an input part, in input order; it is called twice a part.
/// `place(position, entry)` stores an entry at its sorted position. O(entries + parts * keys).
template <class Visit, class Place>
std::vector<Index> counting_sort(Index n_keys, Index n_parts, int n_threads, const Visit& visit, const Place& place) {
  const auto keys = static_cast<std::size_t>(n_keys);
  std::vector<std::vector<Index>> cursors(static_cast<std::size_t>(n_parts));
  parallel_for(n_parts, n_threads, [&](Index part, int) {
    auto& counts = cursors[static_cast<std::size_t>(part)];
    counts.assign(keys, 0);
    visit(part, [&](auto key, const auto&) { ++counts[static_cast<std::size_t>(key)]; });
  });
  std::vector<Index> offsets(keys + 1);
  Index position = 0;
  for (std::size_t key = 0; key < keys; ++key) {
    offsets[key] = position;
    for (auto& part : cursors) {
      const Index count = part[key];
      part[key] = position;
      position += count;
    }
  }
  offsets[keys] = position;
  parallel_for(n_parts, n_threads, [&](Index part, int) {
    auto& cursor = cursors[static_cast<std::size_t>(part)];
    visit(part, [&](auto key, const auto& entry) { place(cursor[static_cast<std::size_t>(key)]++, entry); });
  });
  return offsets;
}

}  // namespace matfac
