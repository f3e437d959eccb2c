#pragma once

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "request.hpp"
#include "served_model.hpp"

namespace service {

/// Appends the known ones of some items as an ascending row.
inline void add_row(Rows& rows, const std::vector<matfac::Code>& codes) {
  std::copy_if(codes.begin(), codes.end(), std::back_inserter(rows.items), [](matfac::Code code) { return code >= 0; });
  rows.end_row_sorted();
}

/// What to leave out and what to choose among: `exclude` is one list a query, or one for all; `among` one for all.
struct Conditions {
  Rows excluded, allowed;
  bool has_excluded = false, has_allowed = false;

  void read(const ServedModel& model, Request& request, std::size_t n_queries, Rows own) {
    excluded = std::move(own);
    const matfac::IdsView& ids = model.record().item_ids;
    if (const Json* list = request.list("exclude")) {
      const bool is_by_query = !list->empty() && list->front().is_array();
      if (is_by_query && list->size() != n_queries) {
        throw Refusal(400, "'exclude' has " + std::to_string(list->size()) + " lists, expected one for each of the " +
                               std::to_string(n_queries) + " queries, or one list of ids for all");
      }
      Rows merged;
      const std::vector<matfac::Code> for_all = is_by_query ? std::vector<matfac::Code>{}
                                                            : request.codes("exclude", *list, ids);
      for (std::size_t q = 0; q < n_queries; ++q) {
        std::vector<matfac::Code> codes = for_all;
        if (is_by_query) {
          const Json& row = (*list)[q];
          if (!row.is_array()) throw Refusal(400, "'exclude' at position " + std::to_string(q) + " must be a list");
          codes = request.codes("exclude", row, ids);
        }
        codes.insert(codes.end(), excluded.items.begin() + excluded.offsets[q],
                     excluded.items.begin() + excluded.offsets[q + 1]);
        add_row(merged, codes);
      }
      excluded = std::move(merged);
    }
    has_excluded = !excluded.items.empty();
    if (const Json* list = request.list("among")) {
      has_allowed = true;
      add_row(allowed, request.codes("among", *list, ids));
    }
  }

  /// Calls `ask(filters)` with the patterns alive.
  template <class Ask>
  Lists with_filters(matfac::Index n_items, const Ask& ask) const {
    const matfac::PatternView exclude = excluded.view(n_items), among = allowed.view(n_items);
    return ask(matfac::Filters{has_excluded ? &exclude : nullptr, has_allowed ? &among : nullptr});
  }
};

inline Rows empty_rows(std::size_t count) {
  Rows rows;
  rows.offsets.assign(count + 1, 0);
  return rows;
}

inline Rows seen_by(const ServedModel& model, const std::vector<matfac::Code>& users) {
  const matfac::PatternView& seen = model.record().seen;
  Rows rows;
  for (const matfac::Code user : users) {
    if (user >= 0) {
      rows.items.insert(rows.items.end(), seen.items + seen.offsets[user], seen.items + seen.offsets[user + 1]);
    }
    rows.end_row();
  }
  return rows;
}

}  // namespace service
