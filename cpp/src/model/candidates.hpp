#pragma once

#include <span>

#include "core/parallel.hpp"
#include "core/validate.hpp"
#include "matfac/model.hpp"
#include "matfac/ratings.hpp"
#include "model/measure_row.hpp"
#include "model/ranking.hpp"

namespace matfac {

/// What may be recommended to the users of an evaluation, all items but those they have seen, and what of it is
/// relevant.
class Candidates {
 public:
  /// Refuses patterns that have not the model's shape, and users that the model does not know. The rows of `users` are
  /// checked, and no others: an evaluation may be cut into many.
  template <class T>
  Candidates(const ModelView<T>& model, std::span<const Code> users, const PatternView& relevant,
             const PatternView* seen, int n_threads)
      : relevant_(relevant), seen_(seen) {
    const Index n_users = model.user_factors.rows, n_items = model.item_factors.rows;
    require_pattern("relevant", relevant, n_users, n_items);
    if (seen != nullptr) require_pattern("seen", *seen, n_users, n_items);
    parallel_chunks(static_cast<Index>(users.size()), 1024, n_threads, [&](Index begin, Index end, int) {
      for (Index i = begin; i < end; ++i) {
        const Code user = users[static_cast<std::size_t>(i)];
        require(user >= 0 && user < n_users, "user code ", user, " at position ", i,
                " is out of range: codes must be in [0, ", n_users, ")");
        require_row("relevant", relevant, user);
        if (seen != nullptr) require_row("seen", *seen, user);
      }
    });
  }

  /// The items that are relevant to a user, those seen included, and the number of those not seen.
  std::span<const Code> relevant(Code user) const { return row(relevant_, user); }
  Index n_relevant(Code user) const {
    const auto items = relevant(user);
    return static_cast<Index>(items.size()) - (seen_ != nullptr ? count_common(items, row(*seen_, user)) : 0);
  }
  std::span<const Code> seen(Code user) const { return seen_ != nullptr ? row(*seen_, user) : std::span<const Code>{}; }

  template <class T>
  void exclude_seen(RankingQueries<T>& queries) const {
    if (seen_ == nullptr) return;
    queries.excluded_offsets = seen_->offsets;
    queries.excluded_items = seen_->items;
    queries.excluded_by_row = true;
  }

 private:
  static std::span<const Code> row(const PatternView& pattern, Code user) {
    return {pattern.items + pattern.offsets[user], pattern.items + pattern.offsets[user + 1]};
  }

  static void require_pattern(const char* name, const PatternView& pattern, Index n_users, Index n_items) {
    require(pattern.n_users == n_users && pattern.n_items == n_items, name, " has shape (", pattern.n_users, ", ",
            pattern.n_items, "), the model (", n_users, ", ", n_items, ")");
    require(n_users == 0 || pattern.offsets != nullptr, name, ": offsets must have n_users + 1 entries");
  }

  static void require_row(const char* name, const PatternView& pattern, Code user) {
    const Index begin = pattern.offsets[user], end = pattern.offsets[user + 1];
    require(begin >= 0 && begin <= end && end <= pattern.nnz(), name, ": the offsets of user code ", user, ", ", begin,
            " and ", end, ", are malformed: they begin with 0 and never fall");
    Code previous = -1;
    for (Index i = begin; i < end; ++i) {
      const Code item = pattern.items[i];
      require(item > previous && item < pattern.n_items, name, ": item code ", item, " at entry ", i, " (user code ",
              user, ") must lie in [0, ", pattern.n_items, ") and come after ", previous,
              ": sort each row and merge duplicates");
      previous = item;
    }
  }

  const PatternView& relevant_;
  const PatternView* seen_;
};

}  // namespace matfac
