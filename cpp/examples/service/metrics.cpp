#include "metrics.hpp"

#include <algorithm>
#include <cstdio>

namespace service {
namespace {

void add_header(std::string& text, const char* name, const char* type, const char* help) {
  text += std::string("# HELP ") + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
}

std::string shortest(double value) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.9g", value);
  return digits;
}

/// The value of a label: of what may be in a file only these characters mean something.
std::string escaped(std::string_view value) {
  std::string text;
  for (const char c : value) {
    if (c == '\\' || c == '"') text += '\\';
    text += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return text;
}

}  // namespace

void Metrics::count_request(const std::string& route, int status, double seconds) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++requests_[{route, status}];
  Latency& latency = latencies_[route];
  const auto bound = std::lower_bound(kBounds.begin(), kBounds.end(), seconds);
  ++latency.counts[static_cast<std::size_t>(bound - kBounds.begin())];
  latency.sum += seconds;
}

void Metrics::count_reload(bool succeeded) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++(succeeded ? reloads_ : failed_reloads_);
}

std::string Metrics::text(const ServedModel& model) const {
  std::string text;
  add_header(text, "matfac_model_info", "gauge", "The model in use.");
  text += "matfac_model_info{checksum=\"" + escaped(model.file().checksum()) + "\",loss=\"" +
          std::string(matfac::name_of(model.settings().loss)) + "\",written_by=\"" +
          escaped(model.file().library_version()) + "\"} 1\n";
  add_header(text, "matfac_model_users", "gauge", "Users that the model knows.");
  text += "matfac_model_users " + std::to_string(model.n_users()) + "\n";
  add_header(text, "matfac_model_items", "gauge", "Items that the model knows.");
  text += "matfac_model_items " + std::to_string(model.n_items()) + "\n";

  const std::lock_guard<std::mutex> lock(mutex_);
  add_header(text, "matfac_reloads_total", "counter", "Reloads since the start, by result.");
  text += "matfac_reloads_total{result=\"success\"} " + std::to_string(reloads_) + "\n";
  text += "matfac_reloads_total{result=\"failure\"} " + std::to_string(failed_reloads_) + "\n";
  add_header(text, "matfac_requests_total", "counter", "Requests answered, by route and status.");
  for (const auto& [key, count] : requests_) {
    text += "matfac_requests_total{route=\"" + key.first + "\",status=\"" + std::to_string(key.second) + "\"} " +
            std::to_string(count) + "\n";
  }
  add_header(text, "matfac_request_seconds", "histogram", "Time to answer a request, reading and sending left out.");
  for (const auto& [route, latency] : latencies_) {
    const std::string name = "matfac_request_seconds_bucket{route=\"" + route + "\",le=\"";
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < latency.counts.size(); ++i) {
      total += latency.counts[i];
      text += name + (i < kBounds.size() ? shortest(kBounds[i]) : "+Inf") + "\"} " + std::to_string(total) + "\n";
    }
    text += "matfac_request_seconds_sum{route=\"" + route + "\"} " + shortest(latency.sum) + "\n";
    text += "matfac_request_seconds_count{route=\"" + route + "\"} " + std::to_string(total) + "\n";
  }
  return text;
}

}  // namespace service
