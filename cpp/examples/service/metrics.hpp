#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "served_model.hpp"

namespace service {

/// Counts of what the service has done, in Prometheus' text format.
class Metrics {
 public:
  void count_request(const std::string& route, int status, double seconds);
  void count_reload(bool succeeded);
  std::string text(const ServedModel& model) const;

 private:
  /// Upper bounds of the latency histogram, in seconds; what is slower is counted in the last.
  static constexpr std::array kBounds{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                      0.025,  0.05,    0.1,    0.25,  0.5,    1.0,   2.5};
  struct Latency {
    std::array<std::uint64_t, kBounds.size() + 1> counts{};
    double sum = 0;
  };

  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, std::uint64_t> requests_;
  std::map<std::string, Latency> latencies_;
  std::uint64_t reloads_ = 0, failed_reloads_ = 0;
};

}  // namespace service
