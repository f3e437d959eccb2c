#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "io/hex_float.hpp"
#include "io/safetensors.hpp"
#include "matfac/model.hpp"
#include "model_file_fixture.hpp"

#ifdef __linux__
#include <sys/stat.h>

using namespace matfac;
using namespace matfac::test;

namespace {

/// Megabytes of memory that this process holds; of a mapped file those pages that were touched.
long resident_megabytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmRSS:", 0) == 0) return std::stol(line.substr(6)) / 1024;
  }
  return -1;
}

/// A file of this many bytes, all of it a hole but for its header.
void write_sparse(const std::string& path, Index n_users, Index n_factors) {
  const auto tensor = [](const char* name, const char* dtype, std::vector<Index> shape, Index element) {
    Index size = element;
    for (const Index n : shape) size *= n;
    const std::span<const std::byte> nothing(static_cast<const std::byte*>(nullptr), static_cast<std::size_t>(size));
    return safetensors::NamedTensor{name, {dtype, std::move(shape), nothing}};
  };
  const std::vector<safetensors::NamedTensor> tensors{
      tensor("user_ids", "I64", {n_users}, 8), tensor("item_ids", "I64", {1}, 8),
      tensor("user_factors", "F32", {n_users, n_factors}, 4), tensor("item_factors", "F32", {1, n_factors}, 4)};
  const auto header = safetensors::make_header({{"format", "matfac"},
                                                {"format_version", "1"},
                                                {"library_version", "0.1.0"},
                                                {"n_users", std::to_string(n_users)},
                                                {"n_items", "1"},
                                                {"n_factors", std::to_string(n_factors)},
                                                {"dtype", "float32"},
                                                {"global_mean", hex_float(0.5)},
                                                {"checksum", "xxh64:0000000000000000"}},
                                               "checksum", tensors, "user_factors");
  write_file(path, header.bytes);
  std::uintmax_t size = header.bytes.size();
  for (const auto& named : tensors) size += named.tensor.bytes.size();
  std::filesystem::resize_file(path, size);
}

}  // namespace

TEST_CASE("a file of more than ten gigabytes is opened without being read") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("large");
  constexpr Index kUsers = 40'000'000, kFactors = 64;
  write_sparse(path, kUsers, kFactors);
  CHECK(std::filesystem::file_size(path) > 10'000'000'000u);
  struct stat status{};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  REQUIRE_MESSAGE(status.st_blocks < 1'000'000, "the temporary directory has no files with holes: set TMPDIR");

  const long before = resident_megabytes();
  const ModelFile file = ModelFile::open(path, false);
  CHECK(file.record().user_ids.size() == kUsers);
  CHECK(file.settings().n_factors == kFactors);
  const ModelView<float> model = file.model<float>();
  const std::vector<Code> users{0, kUsers / 2, kUsers - 1, -1}, items{0, 0, 0, 0};
  std::vector<float> scores(4);
  predict(model, users, items, std::span<float>(scores), 1);
  CHECK(scores == std::vector<float>(4, 0.5f));
  Code best[1];
  float score[1];
  recommend<float>(model, std::span(users).subspan(2, 1), 1, nullptr, {best, 1, 1}, {score, 1, 1}, 1);
  CHECK(best[0] == 0);
  CHECK(score[0] == 0.5f);
  CHECK(resident_megabytes() - before < 50);
}

#endif
