#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "options.hpp"
#include "served_model.hpp"

namespace service {

using Json = nlohmann::ordered_json;

/// An answer that is no success: its status, and a message for whoever asked.
class Refusal {
 public:
  Refusal(int status, std::string message) : status_(status), message_(std::move(message)) {}
  int status() const { return status_; }
  const std::string& message() const { return message_; }

 private:
  int status_;
  std::string message_;
};

/// Reads the members of a request's JSON object. Whatever is wrong is refused with the member's name, the position and
/// the rule: wrong types, sizes beyond the limits, and (when asked) members that nobody has read.
class Request {
 public:
  /// `renamed`: a member, and what it is called by whoever asks.
  Request(const Json& body, const Options& options, std::pair<std::string, std::string> renamed = {});

  bool has(const char* name);
  bool boolean(const char* name, bool otherwise);
  std::string text(const char* name);  ///< empty: not there
  /// A whole number from 1 to the limit `max_n`.
  matfac::Index n(matfac::Index otherwise = 10);
  /// A list of 1 to `max_batch` entries.
  const Json& batch(const char* name);
  /// An entry of such a list as a request of its own, with the limits of this one.
  Request entry(const char* name, const Json& body, std::size_t position);
  /// The codes of raw ids, -1 for unknown ones.
  std::vector<matfac::Code> codes(const char* name, const Json& ids, const matfac::IdsView& known);
  /// Numbers, as many as `expected`.
  std::vector<double> numbers(const char* name, std::size_t expected);
  const Json* list(const char* name);  ///< a list of at most `max_listed` entries, or null: not there
  void refuse_unread() const;
  /// Refuses an entry of a list: `what` is its value and the rule.
  [[noreturn]] void refuse_at(const char* name, std::size_t position, const std::string& what) const;

 private:
  [[noreturn]] void refuse(const std::string& message) const;
  const Json* find(const char* name);

  const Json& body_;
  const Options& options_;
  std::pair<std::string, std::string> renamed_;
  std::string place_;  ///< of an entry
  std::vector<std::string> read_;
};

/// A raw id as JSON, by its code.
Json id_of(const matfac::IdsView& ids, matfac::Code code);

}  // namespace service
