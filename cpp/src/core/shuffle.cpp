#include "core/shuffle.hpp"

#include <numeric>

#include "core/parallel.hpp"

namespace matfac {

std::vector<Code> shuffled(Index n, std::uint64_t seed, Stream stream, std::uint64_t part, int n_threads) {
  std::vector<Code> draws(static_cast<std::size_t>(n));
  parallel_chunks(n, 1 << 14, n_threads, [&](Index begin, Index end, int) {
    for (Index i = begin; i < end; ++i) {
      const Words words = random_words(seed, stream, part, static_cast<std::uint32_t>(i));
      draws[static_cast<std::size_t>(i)] = static_cast<Code>(to_below(words[0], static_cast<std::uint32_t>(i + 1)));
    }
  });
  std::vector<Code> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), Code{0});
  for (auto i = static_cast<std::size_t>(n); i-- > 1;) {
    std::swap(order[i], order[static_cast<std::size_t>(draws[i])]);
  }
  return order;
}

}  // namespace matfac
