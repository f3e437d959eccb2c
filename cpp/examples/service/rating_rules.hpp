#pragma once

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "request.hpp"
#include "served_model.hpp"

namespace service {

inline bool is_one_of(matfac::Loss loss, std::initializer_list<matfac::Loss> losses) {
  return std::find(losses.begin(), losses.end(), loss) != losses.end();
}

/// Losses of what was chosen, with a strength or without.
inline bool is_of_choices(matfac::Loss loss) {
  return is_one_of(loss, {matfac::Loss::implicit_squared, matfac::Loss::bpr, matfac::Loss::warp});
}

/// Refuses ratings of visitors that the model's loss does not allow. The library has the same rules, but would name the
/// place in the matrix that is made of a request, not the place in the request.
class RatingRules {
 public:
  explicit RatingRules(const ServedModel& model)
      : loss_(model.settings().loss),
        is_double_(model.file().is_double()),
        is_label_(is_one_of(loss_, {matfac::Loss::logistic, matfac::Loss::hinge, matfac::Loss::squared_hinge})),
        is_not_negative_(loss_ == matfac::Loss::kullback_leibler || model.settings().nonnegative) {}

  /// The `ratings` of the visitor at this position, of whom `visitor` has been read.
  void check(Request& visitor, std::size_t position, const std::vector<double>& ratings) {
    for (std::size_t i = 0; i < ratings.size(); ++i) {
      std::string fault = fault_of(ratings[i]);
      if (fault.empty() && is_label_ && ratings[i] != 1) fault = fault_of_no(ratings[i], position, i);
      if (!fault.empty()) visitor.refuse_at("ratings", i, (*visitor.list("ratings"))[i].dump() + " " + fault);
    }
  }

 private:
  const char* fault_of(double rating) const {
    const bool is_finite = is_double_ ? std::isfinite(rating) : std::isfinite(static_cast<float>(rating));
    if (!is_finite) return "is too large: the model's numbers would not be finite";
    if (is_label_) {
      const bool is_label = rating == 1 || rating == 0 || rating == -1;
      return is_label ? "" : "is no label: send 1 for yes and -1 or 0 for no";
    }
    if (is_of_choices(loss_)) {
      return rating > 0 ? "" : "is not positive: send what the visitor has chosen, and leave out what was not";
    }
    return is_not_negative_ && rating < 0 ? "is negative: this model takes ratings of at least 0" : "";
  }

  /// There are two ways of saying no, of which a request may use one.
  std::string fault_of_no(double label, std::size_t visitor, std::size_t position) {
    if (!no_) no_.emplace(No{label, visitor, position});
    if (no_->label == label) return "";
    return "says no, and so does " + std::string(no_->label == 0 ? "0" : "-1") + " at position " +
           std::to_string(no_->position) + " of the visitor at position " + std::to_string(no_->visitor) +
           ": use one of them throughout";
  }

  struct No {
    double label;
    std::size_t visitor, position;
  };

  matfac::Loss loss_;
  bool is_double_, is_label_, is_not_negative_;
  std::optional<No> no_;  ///< the first one
};

}  // namespace service
