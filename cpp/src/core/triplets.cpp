#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>

#include "core/counting_sort.hpp"
#include "core/message.hpp"
#include "core/validate.hpp"
#include "matfac/ratings.hpp"

namespace matfac {
namespace {

template <class T>
struct Entry {
  Code item;
  T value;
};

void require_code(const char* side, Code code, Index n, Index position) {
  require(code >= 0 && code < n, side, " code ", code, " at position ", position,
          " is out of range: codes must be in [0, ", n, ")");
}

template <class T>
void validate_triplets(std::span<const Code> users, std::span<const Code> items, std::span<const T> values,
                       Index n_users, Index n_items, int n_threads) {
  require_counts(n_users, n_items);
  const auto n = static_cast<Index>(users.size());
  require_length("items", items, n);
  require_length("values", values, n);
  parallel_chunks(n, 1 << 16, n_threads, [&](Index begin, Index end, int) {
    for (Index i = begin; i < end; ++i) {
      const auto k = static_cast<std::size_t>(i);
      require_code("user", users[k], n_users, i);
      require_code("item", items[k], n_items, i);
      require(std::isfinite(values[k]), "rating ", values[k], " at position ", i, " (user code ", users[k],
              ", item code ", items[k], ") is not finite: remove it or replace it by a number");
    }
  });
}

/// Merges the run [first, last) of entries of the same pair, in input order, into one value.
template <class T>
T merge(const Entry<T>* first, const Entry<T>* last, Duplicates duplicates) {
  if (duplicates == Duplicates::first) return first->value;
  if (duplicates == Duplicates::last) return (last - 1)->value;
  double sum = 0;
  for (const Entry<T>* e = first; e != last; ++e) sum += static_cast<double>(e->value);
  return static_cast<T>(duplicates == Duplicates::mean ? sum / static_cast<double>(last - first) : sum);
}

/// Sorts a row by item and merges equal pairs; returns the number of entries that remain, at its front.
template <class T>
Index sort_row(Entry<T>* row, Index n, Index user, Duplicates duplicates) {
  const auto by_item = [](const Entry<T>& a, const Entry<T>& b) { return a.item < b.item; };
  const auto not_ascending = [](const Entry<T>& a, const Entry<T>& b) { return a.item >= b.item; };
  if (std::adjacent_find(row, row + n, not_ascending) == row + n) return n;
  std::stable_sort(row, row + n, by_item);
  Index kept = 0;
  for (Index i = 0; i < n;) {
    Index end = i + 1;
    while (end < n && row[end].item == row[i].item) ++end;
    require(end == i + 1 || duplicates != Duplicates::error, "user code ", user, " and item code ", row[i].item,
            " occur ", end - i, " times: choose what becomes of duplicate pairs (first, last, mean, sum)");
    const T value = merge(row + i, row + end, duplicates);
    require(std::isfinite(value), "the merged rating of user code ", user, " and item code ", row[i].item,
            " is not finite");
    row[kept++] = {row[i].item, value};
    i = end;
  }
  return kept;
}

}  // namespace

template <class T>
Ratings<T> ratings_from_triplets(std::span<const Code> users, std::span<const Code> items, std::span<const T> values,
                                 Index n_users, Index n_items, Duplicates duplicates, int n_threads,
                                 Index* n_duplicates) {
  validate_triplets(users, items, values, n_users, n_items, n_threads);
  const auto n = static_cast<Index>(users.size());
  std::vector<Entry<T>> entries(users.size());
  const Index parts = counting_sort_parts(n, n_users, n_threads);
  const auto offsets = counting_sort(
      n_users, parts, n_threads,
      [&](Index part, const auto& f) {
        for (Index i = n * part / parts; i < n * (part + 1) / parts; ++i) {
          const auto k = static_cast<std::size_t>(i);
          f(users[k], Entry<T>{items[k], values[k]});
        }
      },
      [&](Index position, const Entry<T>& entry) { entries[static_cast<std::size_t>(position)] = entry; });

  Ratings<T> result;
  result.n_users = n_users;
  result.n_items = n_items;
  result.offsets.assign(static_cast<std::size_t>(n_users) + 1, 0);
  parallel_chunks(n_users, 512, n_threads, [&](Index begin, Index end, int) {
    for (Index u = begin; u < end; ++u) {
      const auto k = static_cast<std::size_t>(u);
      result.offsets[k + 1] = sort_row(entries.data() + offsets[k], offsets[k + 1] - offsets[k], u, duplicates);
    }
  });
  std::partial_sum(result.offsets.begin(), result.offsets.end(), result.offsets.begin());
  const Index nnz = result.offsets.back();
  if (n_duplicates != nullptr) *n_duplicates = n - nnz;

  result.items.resize(static_cast<std::size_t>(nnz));
  result.values.resize(static_cast<std::size_t>(nnz));
  parallel_chunks(n_users, 512, n_threads, [&](Index begin, Index end, int) {
    for (Index u = begin; u < end; ++u) {
      const auto k = static_cast<std::size_t>(u);
      const Entry<T>* entry = entries.data() + offsets[k];
      for (Index i = result.offsets[k]; i < result.offsets[k + 1]; ++i, ++entry) {
        result.items[static_cast<std::size_t>(i)] = entry->item;
        result.values[static_cast<std::size_t>(i)] = entry->value;
      }
    }
  });
  return result;
}

template MATFAC_API Ratings<float> ratings_from_triplets(std::span<const Code>, std::span<const Code>,
                                                         std::span<const float>, Index, Index, Duplicates, int, Index*);
template MATFAC_API Ratings<double> ratings_from_triplets(std::span<const Code>, std::span<const Code>,
                                                          std::span<const double>, Index, Index, Duplicates, int,
                                                          Index*);

}  // namespace matfac
