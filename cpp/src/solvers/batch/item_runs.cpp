#include "solvers/batch/item_runs.hpp"

#include <algorithm>
#include <array>

#include "core/buckets.hpp"
#include "core/message.hpp"
#include "core/parallel.hpp"
#include "core/radix_sort.hpp"

namespace matfac {
namespace {

// Ratings of a block at most: what 16 bits can number, and fewer where there are few in all.
constexpr Index kMostEntries = (Index{1} << 16) - 1, kLeastEntries = 1 << 15;

struct Keyed {
  std::uint32_t key;  // the item
  LocalRating rating;
};

// What a thread sorts in.
struct Workspace {
  std::vector<Keyed> entries, other;
};

void sort_block(const PatternView& pattern, Index first, Index last, Workspace& workspace,
                ItemRuns::Impl::Block& block) {
  const Index start = pattern.offsets[first], n = pattern.offsets[last] - start;
  block.start = start;
  if (last - first == 1) return;
  block.fingerprint = fingerprint(pattern.items + start, n);
  auto& [entries, other] = workspace;
  entries.resize(static_cast<std::size_t>(n));
  other.resize(static_cast<std::size_t>(n));
  for (Index user = first, entry = 0; user < last; ++user) {
    for (; entry < pattern.offsets[user + 1] - start; ++entry) {
      entries[static_cast<std::size_t>(entry)] = {
          static_cast<std::uint32_t>(pattern.items[start + entry]),
          {static_cast<std::uint16_t>(user - first), static_cast<std::uint16_t>(entry)}};
    }
  }
  const Keyed* const sorted = radix_sort(entries.data(), other.data(), n, bits_below(pattern.n_items));
  Index n_runs = 0;
  for (Index i = 0; i < n; ++i) n_runs += i == 0 || sorted[i].key != sorted[i - 1].key;
  block.runs.reserve(static_cast<std::size_t>(n_runs));
  block.ratings.resize(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i) {
    if (i == 0 || sorted[i].key != sorted[i - 1].key) block.runs.push_back({static_cast<Code>(sorted[i].key), 0});
    ++block.runs.back().count;
    block.ratings[static_cast<std::size_t>(i)] = sorted[i].rating;
  }
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

// A polynomial in an odd number for each of several lanes, modulo 2^32: what no step forgets, the last one holds.
std::uint64_t fingerprint(const Code* items, Index n) {
  constexpr Index kLanes = 32;
  constexpr std::uint32_t kFactor = 0x915f77f5;
  std::array<std::uint32_t, kLanes> lanes{};
  Index i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (Index lane = 0; lane < kLanes; ++lane) {
      auto& value = lanes[static_cast<std::size_t>(lane)];
      value = value * kFactor + static_cast<std::uint32_t>(items[i + lane]);
    }
  }
  for (; i < n; ++i) {
    auto& value = lanes[static_cast<std::size_t>(i % kLanes)];
    value = value * kFactor + static_cast<std::uint32_t>(items[i]);
  }
  std::uint64_t all = 0;
  for (const std::uint32_t value : lanes) all = all * 0xd1342543de82ef95 + value;
  return all;
}

}  // namespace matfac
