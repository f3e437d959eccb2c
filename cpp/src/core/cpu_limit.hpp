#pragma once

#include <string>
#include <string_view>

/// How many processors' time a container leaves to this process: the quota of its control group (Linux).
namespace matfac {

/// No limit is known.
constexpr int kNoCpuLimit = 1 << 30;

/// A quota and a period in microseconds, as `cpu.max` holds them ("150000 100000" is 2, rounded up; "max 100000" is
/// none). What cannot be read is no limit.
int cpus_of_quota(std::string_view text);

/// The least limit of the group that `membership` (/proc/self/cgroup) names and of those above it, in the hierarchy
/// mounted at `root`: version 2 (`cpu.max`), or else 1 (`cpu.cfs_quota_us` and `cpu.cfs_period_us`).
int cpu_limit_in(const std::string& root, std::string_view membership);

/// That of this process.
int cpu_limit();

}  // namespace matfac
