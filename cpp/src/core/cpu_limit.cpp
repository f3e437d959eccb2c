#include "core/cpu_limit.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace matfac {
namespace {

/// The beginning of a small text file; empty if there is none.
std::string beginning_of(const std::string& path) {
  std::string text;
#ifdef __linux__
  if (std::FILE* file = std::fopen(path.c_str(), "re")) {
    char buffer[4096];
    text.assign(buffer, std::fread(buffer, 1, sizeof buffer, file));
    std::fclose(file);
  }
#else
  static_cast<void>(path);
#endif
  return text;
}

/// The least limit of a group and of those above it, whose files `limit_of` reads in a folder.
template <class LimitOf>
int least_limit(const std::string& mount, std::string_view group, const LimitOf& limit_of) {
  int limit = kNoCpuLimit;
  for (;;) {
    while (!group.empty() && group.back() == '/') group.remove_suffix(1);
    limit = std::min(limit, limit_of(mount + std::string(group)));
    if (group.empty()) return limit;
    group = group.substr(0, std::min(group.rfind('/'), group.size()));
    if (group.find('/') == std::string_view::npos) group = {};
  }
}

}  // namespace

int cpus_of_quota(std::string_view text) {
  long long quota = 0, period = 0;
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, quota);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != ' ' || quota <= 0) return kNoCpuLimit;
  const auto second = std::from_chars(first.ptr + 1, end, period);
  if (second.ec != std::errc() || period <= 0) return kNoCpuLimit;
  const long long cpus = quota / period + (quota % period > 0);
  return static_cast<int>(std::min<long long>(cpus, kNoCpuLimit));
}

int cpu_limit_in(const std::string& root, std::string_view membership) {
  int limit = kNoCpuLimit;
  while (!membership.empty()) {  // lines of "number:controllers:group"
    const std::string_view line = membership.substr(0, membership.find('\n'));
    membership.remove_prefix(std::min(line.size() + 1, membership.size()));
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) continue;
    const std::string controllers = ',' + std::string(line.substr(first + 1, second - first - 1)) + ',';
    const std::string_view group = line.substr(second + 1);
    if (controllers == ",,") {
      limit = std::min(limit, least_limit(root, group, [](const std::string& folder) {
                         return cpus_of_quota(beginning_of(folder + "/cpu.max"));
                       }));
    } else if (controllers.find(",cpu,") != std::string::npos) {
      limit = std::min(limit, least_limit(root + "/cpu", group, [](const std::string& folder) {
                         std::string quota = beginning_of(folder + "/cpu.cfs_quota_us");
                         std::replace(quota.begin(), quota.end(), '\n', ' ');
                         return cpus_of_quota(quota + beginning_of(folder + "/cpu.cfs_period_us"));
                       }));
    }
  }
  return limit;
}

int cpu_limit() { return cpu_limit_in("/sys/fs/cgroup", beginning_of("/proc/self/cgroup")); }

}  // namespace matfac
