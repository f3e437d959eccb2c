#include "io/result_entries.hpp"

#include <algorithm>
#include <string_view>

#include "io/entry_text.hpp"
#include "matfac/fit.hpp"

namespace matfac {
namespace {

constexpr const char* kOfRatings = "MatrixFactorization";
constexpr const char* kOfChoices = "ImplicitFactorization";

/// A history as Python keeps it: {"objective": [3.5, null], ...}. Python's own writer has words for what is not finite.
class HistoryText {
 public:
  explicit HistoryText(std::string_view text) : rest_(text) {}

  bool is_history() {
    const auto column = [&] { return name() && accept(':') && sequence('[', ']', [&] { return number(); }); };
    if (!sequence('{', '}', column)) return false;
    skip_space();
    return rest_.empty();
  }

 private:
  void skip_space() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\n\r"), rest_.size())); }

  bool accept(char c) {
    skip_space();
    const bool found = !rest_.empty() && rest_[0] == c;
    if (found) rest_.remove_prefix(1);
    return found;
  }

  template <class Entry>
  bool sequence(char open, char close, const Entry& entry) {
    if (!accept(open)) return false;
    if (accept(close)) return true;
    do {
      if (!entry()) return false;
    } while (accept(','));
    return accept(close);
  }

  bool name() {
    if (!accept('"')) return false;
    const std::size_t length = rest_.find_first_not_of(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    rest_.remove_prefix(std::min(length, rest_.size()));
    return !rest_.empty() && rest_[0] == '"' && accept('"');
  }

  bool number() {
    skip_space();
    const std::string_view word = rest_.substr(0, rest_.find_first_of(",] \t\n\r"));
    rest_.remove_prefix(word.size());
    return word == "null" || word == "NaN" || word == "Infinity" || word == "-Infinity" ||
           entry_text::is_json_number(word);
  }

  std::string_view rest_;
};

void check_count(std::string_view text) {
  int count = 0;
  entry_text::read(text, count);
  require(count >= 0, "expected at least 0");
}

void check_stop_reason(std::string_view text) {
  std::string names;
  for (const StopReason reason :
       {StopReason::max_iter, StopReason::converged, StopReason::early_stopping, StopReason::cancelled}) {
    if (text == name_of(reason)) return;
    names += message(names.empty() ? "'" : ", '", name_of(reason), '\'');
  }
  throw InvalidArgument(message("expected one of ", names));
}

void check_labels(std::string_view text) {
  PerSide labels;
  entry_text::read(text, labels);
  require((labels.user == 0 || labels.user == -1) && labels.item == 1, "expected [0, 1] or [-1, 1]");
}

}  // namespace

const char* estimator_of(Loss loss) {
  const bool is_of_choices = loss == Loss::implicit_squared || loss == Loss::bpr || loss == Loss::warp;
  return is_of_choices ? kOfChoices : kOfRatings;
}

void check_results(const Entries& metadata, Loss loss) {
  with_entry(metadata, "estimator", [&](std::string_view text) {
    require(text == kOfRatings || text == kOfChoices, "expected '", kOfRatings, "' or '", kOfChoices, '\'');
    require(text == estimator_of(loss), "loss '", name_of(loss), "' is one of '", estimator_of(loss), '\'');
  });
  for (const char* name : {"n_iter_", "best_iteration_"}) with_entry(metadata, name, check_count);
  with_entry(metadata, "stop_reason_", check_stop_reason);
  with_entry(metadata, "classes_", check_labels);
  with_entry(metadata, "history_", [](std::string_view text) {
    require(HistoryText(text).is_history(), "expected an object of lists of numbers");
  });
}

}  // namespace matfac
