#include <algorithm>
#include <atomic>
#include <limits>

#include "core/hash.hpp"
#include "core/number_keys.hpp"
#include "matfac/encode.hpp"

namespace matfac {
namespace {

constexpr Index kChunk = 1 << 16;

/// The distinct integers of one part, in the order of their first appearance: open addressing, linear probing.
class IntegerTable {
 public:
  IntegerTable() : seed_(hash_seed(this)), slots_(1024) {}

  template <class Int>
  void add(std::span<const Int> ids, std::span<Code> codes) {
    constexpr std::size_t kBatch = 64;  // hashed ahead, so that the slots are on their way when they are looked at
    std::uint64_t hashes[kBatch];
    for (std::size_t begin = 0; begin < ids.size(); begin += kBatch) {
      const std::size_t n = std::min(kBatch, ids.size() - begin);
      for (std::size_t i = 0; i < n; ++i) {
        hashes[i] = hash_integer(ids[begin + i], seed_);
        __builtin_prefetch(&slots_[hashes[i] & (slots_.size() - 1)]);
      }
      for (std::size_t i = 0; i < n; ++i) codes[begin + i] = code_of(ids[begin + i], hashes[i]);
    }
  }

  std::vector<Distinct<std::int64_t>> distinct(Index part) const {
    std::vector<Distinct<std::int64_t>> result;
    result.reserve(size_);
    for (const Slot& slot : slots_) {
      if (slot.code >= 0) result.push_back({slot.key, slot.code, static_cast<Code>(part)});
    }
    return result;
  }

 private:
  struct Slot {
    std::int64_t key = 0;
    Code code = -1;  // none
  };

  Code code_of(std::int64_t key, std::uint64_t hash) {
    for (std::size_t at = hash & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
      Slot& slot = slots_[at];
      if (slot.code < 0) {
        require(size_ < static_cast<std::size_t>(kMaxCodes - 1), "too many distinct ids: codes are 32-bit");
        slot = {key, static_cast<Code>(size_++)};
        const Code code = slot.code;
        if (2 * size_ > slots_.size()) grow();
        return code;
      }
      if (slot.key == key) return slot.code;
    }
  }

  void grow() {
    std::vector<Slot> old(2 * slots_.size());
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.code < 0) continue;
      std::size_t at = hash_integer(slot.key, seed_) & (slots_.size() - 1);
      while (slots_[at].code >= 0) at = (at + 1) & (slots_.size() - 1);
      slots_[at] = slot;
    }
  }

  std::uint64_t seed_;
  std::vector<Slot> slots_;
  std::size_t size_ = 0;
};

struct Range {
  std::int64_t low = std::numeric_limits<std::int64_t>::max();
  std::int64_t high = std::numeric_limits<std::int64_t>::min();

  /// How many integers lie in it, cut to what an Index holds.
  Index size() const {
    const std::uint64_t steps = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
    return steps >= static_cast<std::uint64_t>(std::numeric_limits<Index>::max()) ? std::numeric_limits<Index>::max()
                                                                                  : static_cast<Index>(steps) + 1;
  }
};

template <class Int>
Range range_of(std::span<const Int> ids, int n_threads) {
  const auto n = static_cast<Index>(ids.size());
  std::vector<Range> ranges(static_cast<std::size_t>((n + kChunk - 1) / kChunk));
  parallel_chunks(n, kChunk, n_threads, [&](Index begin, Index end, int) {
    Int low = ids[static_cast<std::size_t>(begin)], high = low;
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      low = std::min(low, ids[i]);
      high = std::max(high, ids[i]);
    }
    ranges[static_cast<std::size_t>(begin / kChunk)] = {low, high};
  });
  Range all;
  for (const Range& range : ranges) all = {std::min(all.low, range.low), std::max(all.high, range.high)};
  return all;
}

/// Ids that lie densely: a table over their range takes the place of the hash and of the sort.
template <class Int>
std::vector<std::int64_t> encode_dense(std::span<const Int> ids, std::span<Code> codes, const Range& range,
                                       int n_threads) {
  std::vector<Code> table(static_cast<std::size_t>(range.size()));
  const auto place = [&](std::size_t i) { return static_cast<std::size_t>(ids[i] - range.low); };
  const auto n = static_cast<Index>(ids.size());
  parallel_chunks(n, kChunk, n_threads, [&](Index begin, Index end, int) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      // Several threads may say the same at once. Most ids have been seen: only look, so that they share the line.
      std::atomic_ref<Code> seen(table[place(i)]);
      if (seen.load(std::memory_order_relaxed) == 0) seen.store(1, std::memory_order_relaxed);
    }
  });
  std::vector<std::int64_t> unique;
  for (std::size_t p = 0; p < table.size(); ++p) {
    if (table[p] == 0) continue;
    table[p] = static_cast<Code>(unique.size());
    unique.push_back(range.low + static_cast<std::int64_t>(p));
  }
  require(static_cast<Index>(unique.size()) < kMaxCodes, unique.size(), " distinct ids are too many: codes are 32-bit");
  parallel_chunks(n, kChunk, n_threads, [&](Index begin, Index end, int) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) codes[i] = table[place(i)];
  });
  return unique;
}

template <class Int>
std::vector<std::int64_t> encode_sparse(std::span<const Int> ids, std::span<Code> codes, int n_threads) {
  const auto n = static_cast<Index>(ids.size());
  const Index n_parts = numbering_parts(n, n_threads);
  const auto part_of = [&](auto span, Index part) {
    const Index begin = n * part / n_parts, end = n * (part + 1) / n_parts;
    return span.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
  };
  auto ranking = rank_keys<std::int64_t>(n_parts, n_threads, [&](Index part) {
    IntegerTable table;
    table.add(part_of(ids, part), part_of(codes, part));
    return table.distinct(part);
  });
  parallel_for(n_parts, n_threads, [&](Index part, int) {
    replace_codes(part_of(codes, part), ranking.ranks[static_cast<std::size_t>(part)]);
  });
  return std::move(ranking.keys);
}

}  // namespace

template <class Int>
std::vector<std::int64_t> encode_integers(std::span<const Int> ids, std::span<Code> codes, int n_threads) {
  require_length("codes", codes, static_cast<Index>(ids.size()));
  if (ids.empty()) return {};
  const Range range = range_of(ids, n_threads);
  const bool is_dense = range.size() <= 2 * static_cast<Index>(ids.size()) + 1024;
  return is_dense ? encode_dense(ids, codes, range, n_threads) : encode_sparse(ids, codes, n_threads);
}

void lookup_integers(std::span<const std::int64_t> known, std::span<const std::int64_t> query, std::span<Code> codes,
                     int n_threads) {
  require_length("codes", codes, static_cast<Index>(query.size()));
  const auto n = static_cast<Index>(query.size());
  const Range range = known.empty() ? Range{0, 0} : Range{known.front(), known.back()};
  // A table pays when it is no more work than the query, however the known ids lie.
  std::vector<Code> table;
  if (!known.empty() && range.size() <= 2 * n) {
    table.assign(static_cast<std::size_t>(range.size()), -1);
    for (std::size_t code = 0; code < known.size(); ++code) {
      table[static_cast<std::size_t>(known[code] - range.low)] = static_cast<Code>(code);
    }
  }
  parallel_chunks(n, kChunk, n_threads, [&](Index begin, Index end, int) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      const std::int64_t id = query[i];
      if (known.empty() || id < range.low || id > range.high) {
        codes[i] = -1;
      } else if (!table.empty()) {
        codes[i] = table[static_cast<std::size_t>(id - range.low)];
      } else {
        const auto found = std::lower_bound(known.begin(), known.end(), id);
        codes[i] = *found == id ? static_cast<Code>(found - known.begin()) : -1;
      }
    }
  });
}

template MATFAC_API std::vector<std::int64_t> encode_integers(std::span<const std::int32_t>, std::span<Code>, int);
template MATFAC_API std::vector<std::int64_t> encode_integers(std::span<const std::int64_t>, std::span<Code>, int);

}  // namespace matfac
