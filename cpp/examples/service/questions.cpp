#include "questions.hpp"

#include <algorithm>
#include <numeric>

#include "conditions.hpp"
#include "rating_rules.hpp"

namespace service {

using matfac::Code;
using matfac::Index;

namespace {

/// Row q of some lists, as {"items": [...], "scores": [...]}; what fills a row up is left out.
void add_list(Json& answer, const ServedModel& model, const Lists& lists, std::size_t q) {
  Json::array_t items, scores;
  for (Index i = static_cast<Index>(q) * lists.n; i < static_cast<Index>(q + 1) * lists.n; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (lists.items[at] < 0) break;
    items.push_back(id_of(model.record().item_ids, lists.items[at]));
    scores.emplace_back(lists.scores[at]);
  }
  answer["items"] = std::move(items);
  answer["scores"] = std::move(scores);
}

Json answer_of(const ServedModel& model) { return Json{{"model", model.file().checksum()}}; }

/// An answer with one result a query: what `about(q)` says of it, and its list.
template <class About>
Json with_results(const ServedModel& model, const Lists& lists, std::size_t n_queries, const About& about) {
  Json answer = answer_of(model);
  Json::array_t results;
  for (std::size_t q = 0; q < n_queries; ++q) {
    Json result = about(q);
    add_list(result, model, lists, q);
    results.push_back(std::move(result));
  }
  answer["results"] = std::move(results);
  return answer;
}

/// Reads what a visitor has rated, a row by ascending code; returns how many items the model does not know.
std::size_t add_visitor(const ServedModel& model, Request& request, std::size_t position, RatingRules& rules,
                        Visitors& visitors) {
  const Json& ids = request.batch("items");
  const std::vector<Code> codes = request.codes("items", ids, model.record().item_ids);
  // A choice without a strength counts 1; of a rating that is not sent nothing is known.
  const bool are_counted = is_of_choices(model.settings().loss) && !request.has("ratings");
  const std::vector<double> values = are_counted ? std::vector<double>(ids.size(), 1.0)
                                                 : request.numbers("ratings", ids.size());
  request.refuse_unread();
  rules.check(request, position, values);
  std::vector<std::size_t> order(codes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return codes[a] < codes[b]; });
  std::size_t unknown = 0;
  for (std::size_t k = 0; k < order.size(); ++k) {
    const Code code = codes[order[k]];
    unknown += code < 0;
    if (code < 0) continue;
    if (k > 0 && codes[order[k - 1]] == code) {
      throw Refusal(400, "'visitors' at position " + std::to_string(position) + " rates item " + ids[order[k]].dump() +
                             " twice: send one rating");
    }
    visitors.rated.items.push_back(code);
    visitors.values.push_back(values[order[k]]);
  }
  visitors.rated.end_row();
  return unknown;
}

}  // namespace

Json predict(const ServedModel& model, Request& request) {
  const std::vector<Code> users = request.codes("users", request.batch("users"), model.record().user_ids);
  const std::vector<Code> items = request.codes("items", request.batch("items"), model.record().item_ids);
  request.refuse_unread();
  if (users.size() != items.size()) {
    throw Refusal(400, std::to_string(users.size()) + " 'users' and " + std::to_string(items.size()) +
                           " 'items': a pair takes one of each");
  }
  Json answer = answer_of(model);
  answer["scores"] = model.predict(users, items);
  Json::array_t known;
  for (std::size_t i = 0; i < users.size(); ++i) known.emplace_back(users[i] >= 0 && items[i] >= 0);
  answer["known"] = std::move(known);
  return answer;
}

Json recommend(const ServedModel& model, Request& request) {
  const Json& ids = request.batch("users");
  const std::vector<Code> users = request.codes("users", ids, model.record().user_ids);
  const Index n = request.n();
  const bool exclude_seen = request.boolean("exclude_seen", true);
  if (exclude_seen && !model.has_seen()) {
    throw Refusal(400,
                  "this model was saved without the training pattern, so it does not know what was seen: pass "
                  "\"exclude_seen\": false");
  }
  Conditions conditions;
  conditions.read(model, request, users.size(), exclude_seen ? seen_by(model, users) : empty_rows(users.size()));
  request.refuse_unread();
  const Lists lists = conditions.with_filters(
      model.n_items(), [&](const matfac::Filters& filters) { return model.recommend(users, n, filters); });
  return with_results(model, lists, users.size(),
                      [&](std::size_t q) { return Json{{"user", ids[q]}, {"known", users[q] >= 0}}; });
}

Json fold_in(const ServedModel& model, Request& request) {
  if (!model.fold_in_fault().empty()) {
    throw Refusal(409, "the file of the model in use does not say enough for /fold-in: " + model.fold_in_fault());
  }
  const Json& bodies = request.batch("visitors");
  const Index n = request.n();
  const bool exclude_rated = request.boolean("exclude_rated", true);
  RatingRules rules(model);
  Visitors visitors;
  std::vector<std::size_t> n_unknown;
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    Request visitor = request.entry("visitors", bodies[i], i);
    n_unknown.push_back(add_visitor(model, visitor, i, rules, visitors));
  }
  Conditions conditions;
  conditions.read(model, request, bodies.size(), exclude_rated ? visitors.rated : empty_rows(bodies.size()));
  request.refuse_unread();
  const Lists lists = conditions.with_filters(
      model.n_items(), [&](const matfac::Filters& filters) { return model.recommend_new(visitors, n, filters); });
  return with_results(model, lists, bodies.size(),
                      [&](std::size_t q) { return Json{{"unknown_items", n_unknown[q]}}; });
}

Json similar(const ServedModel& model, Request& request) {
  const Json& ids = request.batch("items");
  const std::vector<Code> items = request.codes("items", ids, model.record().item_ids);
  const Index n = request.n();
  request.refuse_unread();
  const auto unknown = std::find(items.begin(), items.end(), Code{-1});
  if (unknown != items.end()) {
    const auto at = static_cast<std::size_t>(unknown - items.begin());
    throw Refusal(404, "item " + ids[at].dump() + " at position " + std::to_string(at) + " is not in the model");
  }
  const Lists lists = model.similar_items(items, n);
  return with_results(model, lists, items.size(), [&](std::size_t q) { return Json{{"item", ids[q]}}; });
}

Json describe(const ServedModel& model) {
  Json answer = answer_of(model);
  answer["written_by"] = model.file().library_version();
  answer["dtype"] = model.file().is_double() ? "float64" : "float32";
  answer["n_users"] = model.n_users();
  answer["n_items"] = model.n_items();
  answer["n_factors"] = model.settings().n_factors;
  answer["loss"] = std::string(matfac::name_of(model.settings().loss));
  answer["solver"] = std::string(matfac::name_of(model.settings().solver));
  answer["biases"] = model.settings().biases;
  answer["knows_seen"] = model.has_seen();
  answer["folds_in"] = model.fold_in_fault().empty();
  return answer;
}

}  // namespace service
