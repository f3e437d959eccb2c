#pragma once

#include "matfac/model.hpp"
#include "model/base.hpp"
#include "model/ranking.hpp"

namespace matfac {

/// Users as queries; nothing is excluded.
template <class T>
RankingQueries<T> user_queries(const ModelView<T>& model, std::span<const Code> users) {
  RankingQueries<T> queries{model.user_factors, users};
  queries.bases.reserve(users.size());
  for (const Code user : users) queries.bases.push_back(base_of(model, user));
  return queries;
}

/// All items, by their estimates.
template <class T>
RankedItems<T> ranked_items(const ModelView<T>& model) {
  RankedItems<T> ranked{model.item_factors};
  if (!model.item_biases.empty()) ranked.biases = model.item_biases.data();
  return ranked;
}

}  // namespace matfac
