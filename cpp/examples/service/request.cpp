#include "request.hpp"

#include <algorithm>
#include <limits>

namespace service {

using matfac::Code;
using matfac::Index;

Request::Request(const Json& body, const Options& options, std::pair<std::string, std::string> renamed)
    : body_(body), options_(options), renamed_(std::move(renamed)) {
  if (!body.is_object()) refuse("the body must be a JSON object");
}

void Request::refuse(const std::string& message) const {
  throw Refusal(400, place_.empty() ? message : place_ + ": " + message);
}

void Request::refuse_at(const char* name, std::size_t position, const std::string& what) const {
  refuse(std::string("'") + name + "' at position " + std::to_string(position) + ": " + what);
}

const Json* Request::find(const char* name) {
  read_.emplace_back(name);
  const auto found = body_.find(name);
  return found == body_.end() || found->is_null() ? nullptr : &*found;
}

bool Request::has(const char* name) { return find(name) != nullptr; }

bool Request::boolean(const char* name, bool otherwise) {
  const Json* value = find(name);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) refuse(std::string("'") + name + "' must be true or false");
  return value->get<bool>();
}

std::string Request::text(const char* name) {
  const Json* value = find(name);
  if (value == nullptr) return {};
  if (!value->is_string() || value->get_ref<const std::string&>().empty()) {
    refuse(std::string("'") + name + "' must be a string that is not empty");
  }
  return value->get<std::string>();
}

Index Request::n(Index otherwise) {
  const Json* value = find("n");
  if (value == nullptr) return otherwise;
  const bool is_whole = value->is_number_unsigned();
  if (!is_whole || value->get<std::uint64_t>() < 1 || value->get<std::uint64_t>() > options_.max_n) {
    refuse("'n' must be a whole number from 1 to " + std::to_string(options_.max_n) + ", not " + value->dump());
  }
  return value->get<Index>();
}

const Json* Request::list(const char* name) {
  const Json* value = find(name);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) refuse(std::string("'") + name + "' must be a list");
  // With those of the lists in it: a list for each query.
  std::size_t size = value->size();
  for (const Json& entry : *value) size += entry.is_array() ? entry.size() : 0;
  if (size > options_.max_listed) {
    refuse(std::string("'") + name + "' has " + std::to_string(size) + " entries; at most " +
           std::to_string(options_.max_listed) + " are allowed");
  }
  return value;
}

const Json& Request::batch(const char* name) {
  const Json* value = list(name);
  if (value == nullptr)
    refuse(std::string("'") + name + "' is missing: a list of 1 to " + std::to_string(options_.max_batch) + " entries");
  if (value->empty() || value->size() > options_.max_batch) {
    refuse(std::string("'") + name + "' has " + std::to_string(value->size()) + " entries; 1 to " +
           std::to_string(options_.max_batch) + " are allowed in a request");
  }
  return *value;
}

Request Request::entry(const char* name, const Json& body, std::size_t position) {
  if (!body.is_object()) {
    refuse(std::string("'") + name + "' at position " + std::to_string(position) + " must be a JSON object");
  }
  Request entry(body, options_);
  entry.place_ = std::string("'") + name + "' at position " + std::to_string(position);
  return entry;
}

std::vector<Code> Request::codes(const char* name, const Json& ids, const matfac::IdsView& known) {
  const bool integers = known.kind == matfac::IdsView::Kind::integers;
  std::vector<Code> codes;
  codes.reserve(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const Json& id = ids[i];
    if (integers ? !id.is_number_integer() : !id.is_string()) {
      refuse(std::string("'") + name + "' at position " + std::to_string(i) + ": the model's ids are " +
             (integers ? "whole numbers" : "strings") + ", not " +
             id.dump(-1, ' ', true, Json::error_handler_t::replace));
    }
    if (!integers) {
      codes.push_back(known.find(id.get_ref<const std::string&>()));
    } else {
      const bool is_in_range = !id.is_number_unsigned() ||
                               id.get<std::uint64_t>() <=
                                   static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
      codes.push_back(is_in_range ? known.find(id.get<std::int64_t>()) : Code{-1});
    }
  }
  return codes;
}

std::vector<double> Request::numbers(const char* name, std::size_t expected) {
  const Json* value = list(name);
  if (value == nullptr) refuse(std::string("'") + name + "' is missing: a list of numbers");
  if (value->size() != expected) {
    refuse(std::string("'") + name + "' has " + std::to_string(value->size()) + " entries, expected " +
           std::to_string(expected));
  }
  std::vector<double> numbers;
  for (std::size_t i = 0; i < value->size(); ++i) {
    const Json& number = (*value)[i];
    if (!number.is_number()) {
      refuse(std::string("'") + name + "' at position " + std::to_string(i) + " is not a number");
    }
    numbers.push_back(number.get<double>());
  }
  return numbers;
}

void Request::refuse_unread() const {
  for (const auto& [name, value] : body_.items()) {
    if (std::find(read_.begin(), read_.end(), name) == read_.end()) {
      refuse("'" + name + "' is not known here; known are " + [&] {
        std::string list;
        for (const std::string& known : read_) {
          list += (list.empty() ? "'" : ", '") + (known == renamed_.first ? renamed_.second : known) + "'";
        }
        return list;
      }());
    }
  }
}

Json id_of(const matfac::IdsView& ids, Code code) {
  const auto at = static_cast<std::size_t>(code);
  if (ids.kind == matfac::IdsView::Kind::integers) return ids.integers[at];
  const auto begin = static_cast<std::size_t>(ids.offsets[at]), end = static_cast<std::size_t>(ids.offsets[at + 1]);
  return std::string(ids.text.data() + begin, end - begin);
}

}  // namespace service
