#include "core/counting_sort.hpp"
#include "core/partition.hpp"
#include "matfac/ratings.hpp"

namespace matfac {

template <class T>
Ratings<T> transpose(const RatingsView<T>& ratings, int n_threads) {
  struct Entry {
    Code user;
    T value;
  };
  Ratings<T> result;
  result.n_users = ratings.n_items;
  result.n_items = ratings.n_users;
  const Index nnz = ratings.nnz();
  result.items.resize(static_cast<std::size_t>(nnz));
  result.values.resize(static_cast<std::size_t>(nnz));
  if (nnz == 0) {
    result.offsets.assign(static_cast<std::size_t>(ratings.n_items) + 1, 0);
    return result;
  }
  const auto bounds = balanced_partition(ratings.offsets, ratings.n_users,
                                         counting_sort_parts(nnz, ratings.n_items, n_threads));
  result.offsets = counting_sort(
      ratings.n_items, static_cast<Index>(bounds.size()) - 1, n_threads,
      [&](Index part, const auto& f) {
        for (Index n = bounds[static_cast<std::size_t>(part)]; n < bounds[static_cast<std::size_t>(part) + 1]; ++n) {
          for (Index i = ratings.offsets[n]; i < ratings.offsets[n + 1]; ++i) {
            f(ratings.items[i], Entry{static_cast<Code>(n), ratings.values[i]});
          }
        }
      },
      [&](Index position, const Entry& entry) {
        result.items[static_cast<std::size_t>(position)] = entry.user;
        result.values[static_cast<std::size_t>(position)] = entry.value;
      });
  return result;
}

template MATFAC_API Ratings<float> transpose(const RatingsView<float>&, int);
template MATFAC_API Ratings<double> transpose(const RatingsView<double>&, int);

}  // namespace matfac
