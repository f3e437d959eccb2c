#include "solvers/batch/item_runs.hpp"

#include <algorithm>
#include <utility>

#include "core/buckets.hpp"
#include "core/message.hpp"
#include "core/parallel.hpp"
#include "core/radix_sort.hpp"

namespace matfac {
namespace {

// Ratings of a block at most: what 16 bits can number, and fewer where there are few in all.
constexpr Index kMostEntries = (Index{1} << 16) - 1, kLeastEntries = 1 << 15;

// Items that are counted for each rating of a block at most; where there are more, most counts would be zero.
constexpr Index kCounted = 4;

struct Keyed {
  std::uint32_t key;  // the item
  LocalRating rating;
};

// What a thread sorts in.
struct Workspace {
  std::vector<Keyed> entries, other;
  std::vector<std::uint32_t> positions;  // of each item
  std::vector<ItemRun> runs;
};

// f(item, rating) for the ratings of users [first, last), in their order.
template <class F>
void each_local(const PatternView& pattern, Index first, Index last, const F& f) {
  const Index start = pattern.offsets[first];
  for (Index user = first, entry = 0; user < last; ++user) {
    for (; entry < pattern.offsets[user + 1] - start; ++entry) {
      f(pattern.items[start + entry],
        LocalRating{static_cast<std::uint16_t>(user - first), static_cast<std::uint16_t>(entry)});
    }
  }
}

void sort_by_counting(const PatternView& pattern, Index first, Index last, Workspace& workspace,
                      ItemRuns::Impl::Block& block) {
  auto& positions = workspace.positions;
  auto& runs = workspace.runs;
  positions.assign(static_cast<std::size_t>(pattern.n_items), 0);
  runs.resize(positions.size());
  each_local(pattern, first, last, [&](Code item, LocalRating) { ++positions[static_cast<std::size_t>(item)]; });
  std::uint32_t position = 0;
  std::size_t n_runs = 0;
  for (std::size_t item = 0; item < positions.size(); ++item) {
    const std::uint32_t count = std::exchange(positions[item], position);
    position += count;
    runs[n_runs] = {static_cast<Code>(item), count};
    n_runs += count != 0;  // whether an item is there cannot be foretold: no branch
  }
  block.runs.assign(runs.begin(), runs.begin() + static_cast<std::ptrdiff_t>(n_runs));
  each_local(pattern, first, last, [&](Code item, LocalRating rating) {
    block.ratings[positions[static_cast<std::size_t>(item)]++] = rating;
  });
}

void sort_by_digits(const PatternView& pattern, Index first, Index last, Workspace& workspace,
                    ItemRuns::Impl::Block& block) {
  const auto n = static_cast<Index>(block.ratings.size());
  auto& entries = workspace.entries;
  auto& other = workspace.other;
  entries.clear();
  other.resize(block.ratings.size());
  each_local(pattern, first, last,
             [&](Code item, LocalRating rating) { entries.push_back({static_cast<std::uint32_t>(item), rating}); });
  const Keyed* const sorted = radix_sort(entries.data(), other.data(), n, bits_below(pattern.n_items));
  Index n_runs = 0;
  for (Index i = 0; i < n; ++i) n_runs += i == 0 || sorted[i].key != sorted[i - 1].key;
  block.runs.reserve(static_cast<std::size_t>(n_runs));
  for (Index i = 0; i < n; ++i) {
    if (i == 0 || sorted[i].key != sorted[i - 1].key) block.runs.push_back({static_cast<Code>(sorted[i].key), 0});
    ++block.runs.back().count;
    block.ratings[static_cast<std::size_t>(i)] = sorted[i].rating;
  }
}

void sort_block(const PatternView& pattern, Index first, Index last, Workspace& workspace,
                ItemRuns::Impl::Block& block) {
  const Index start = pattern.offsets[first], n = pattern.offsets[last] - start;
  block.start = start;
  if (last - first == 1) return;
  block.fingerprint = kernels<float>().fingerprint(pattern.items + start, n);
  block.ratings.resize(static_cast<std::size_t>(n));
  const auto sort = pattern.n_items <= kCounted * n ? sort_by_counting : sort_by_digits;
  sort(pattern, first, last, workspace, block);
}

}  // namespace

std::vector<Index> user_blocks(const PatternView& pattern) {
  const Index* const offsets = pattern.offsets;
  const Index most = std::clamp<Index>(pattern.nnz() / kWantedBlocks, kLeastEntries, kMostEntries);
  std::vector<Index> users{0};
  for (Index first = 0; first < pattern.n_users; first = users.back()) {
    const Index end = std::min(pattern.n_users, first + kMostBlockUsers);
    const Index* const beyond = std::upper_bound(offsets + first + 1, offsets + end + 1, offsets[first] + most);
    users.push_back(std::max<Index>(first + 1, beyond - offsets - 1));
  }
  return users;
}

ItemRuns::ItemRuns(const PatternView& pattern, int n_threads) : impl_(std::make_unique<Impl>()) {
  impl_->n_users = pattern.n_users;
  impl_->n_items = pattern.n_items;
  impl_->users = user_blocks(pattern);
  const auto n_blocks = static_cast<Index>(impl_->users.size()) - 1;
  impl_->blocks.resize(static_cast<std::size_t>(n_blocks));
  std::vector<Workspace> workspaces(static_cast<std::size_t>(resolve_threads(n_threads)));
  parallel_for(n_blocks, n_threads, [&](Index block, int thread) {
    const auto b = static_cast<std::size_t>(block);
    sort_block(pattern, impl_->users[b], impl_->users[b + 1], workspaces[static_cast<std::size_t>(thread)],
               impl_->blocks[b]);
  });
}
ItemRuns::ItemRuns(ItemRuns&&) noexcept = default;
ItemRuns& ItemRuns::operator=(ItemRuns&&) noexcept = default;
ItemRuns::~ItemRuns() = default;

const ItemRuns::Impl& ItemRuns::impl() const {
  require(impl_ != nullptr, "the item runs have been moved from");
  return *impl_;
}

bool ItemRuns::matches(const PatternView& pattern) const {
  const Impl& runs = impl();
  bool fits = runs.n_users == pattern.n_users && runs.n_items == pattern.n_items && runs.users == user_blocks(pattern);
  for (std::size_t b = 0; fits && b < runs.blocks.size(); ++b) {
    const auto& block = runs.blocks[b];
    const Index first = runs.users[b], last = runs.users[b + 1];
    const Index n = pattern.offsets[last] - pattern.offsets[first];
    fits = block.start == pattern.offsets[first] &&
           (last - first == 1 || static_cast<Index>(block.ratings.size()) == n);
  }
  return fits;
}

}  // namespace matfac
