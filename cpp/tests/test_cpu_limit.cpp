#include <doctest/doctest.h>

#include "core/cpu_limit.hpp"
#include "model_file_fixture.hpp"

using namespace matfac;
using namespace matfac::test;

TEST_CASE("quotas of containers are rounded up to processors") {
  CHECK(cpus_of_quota("200000 100000\n") == 2);
  CHECK(cpus_of_quota("150000 100000\n") == 2);
  CHECK(cpus_of_quota("1000 100000") == 1);
  CHECK(cpus_of_quota("9223372036854775807 1") == kNoCpuLimit);
  for (const char* text : {"", "max 100000\n", "max", "0 100000", "-1 100000", "200000", "200000 0", "200000 x", "x"}) {
    CHECK_MESSAGE(cpus_of_quota(text) == kNoCpuLimit, text);
  }
}

TEST_CASE("the narrowest group above a process counts") {
  const TemporaryDirectory directory;
  const auto put = [&](const std::string& name, const std::string& text) {
    const std::filesystem::path path = directory.file(name);
    std::filesystem::create_directories(path.parent_path());
    write_file(path.string(), text);
  };
  const std::string root = directory.file("v2");
  put("v2/a/cpu.max", "300000 100000\n");
  put("v2/a/b/cpu.max", "max 100000\n");
  put("v2/a/b/c/cpu.max", "450000 100000\n");
  CHECK(cpu_limit_in(root, "0::/a/b/c\n") == 3);
  CHECK(cpu_limit_in(root, "0::/a/b/c") == 3);
  CHECK(cpu_limit_in(root, "0::/\n") == kNoCpuLimit);
  CHECK(cpu_limit_in(root, "0::/elsewhere/c\n") == kNoCpuLimit);
  CHECK(cpu_limit_in(root, "") == kNoCpuLimit);
  CHECK(cpu_limit_in(root, "nonsense\n\n::\n") == kNoCpuLimit);
  put("v2/cpu.max", "50000 100000\n");  // in a namespace of its own a process sees its group as the root
  CHECK(cpu_limit_in(root, "0::/\n") == 1);
  CHECK(cpu_limit_in(root, "0::/a/b/c\n") == 1);

  put("v1/cpu/docker/x/cpu.cfs_quota_us", "250000\n");
  put("v1/cpu/docker/x/cpu.cfs_period_us", "100000\n");
  put("v1/cpu/cpu.cfs_quota_us", "-1\n");
  put("v1/cpu/cpu.cfs_period_us", "100000\n");
  CHECK(cpu_limit_in(directory.file("v1"), "5:memory:/docker/y\n4:cpu,cpuacct:/docker/x\n") == 3);
  CHECK(cpu_limit_in(directory.file("v1"), "4:cpuacct,cpu:/\n4:cpuset:/docker/x\n") == kNoCpuLimit);
}
