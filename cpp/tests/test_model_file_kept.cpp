#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <sstream>
#include <tuple>

#include "fuzz/examine.hpp"
#include "matfac/model.hpp"
#include "model_file_fixture.hpp"

/// Files that were kept: golden ones of every version, which must load for ever, and what fuzzing has found, which must
/// be read or refused and nothing else.
using namespace matfac;
using namespace matfac::test;

namespace {

namespace fs = std::filesystem;

std::vector<fs::path> files_below(const char* folder, std::string_view suffix) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && (suffix.empty() || entry.path().extension() == suffix)) files.push_back(entry);
  }
  return files;
}

/// The answers that a golden file once gave: lines of a word and its values (tools/golden.py).
std::vector<std::pair<std::string, std::string>> expected_answers(fs::path path) {
  std::ifstream in(path.replace_extension(".txt"));
  std::vector<std::pair<std::string, std::string>> lines;
  for (std::string word, rest; in >> word && std::getline(in >> std::ws, rest);) lines.emplace_back(word, rest);
  return lines;
}

template <class T>
void check_scores(const ModelView<T>& model, const std::string& expected) {
  const Index n_users = model.user_factors.rows, n_items = model.item_factors.rows;
  std::vector<Code> users, items;
  for (Index i = 0; i < n_users * n_items; ++i) {
    users.push_back(static_cast<Code>(i / n_items));
    items.push_back(static_cast<Code>(i % n_items));
  }
  std::vector<T> scores(users.size());
  predict(model, users, items, std::span<T>(scores), 1);
  // Other processors may round once where this one rounds twice.
  const double allowed = std::is_same_v<T, double> ? 1e-13 : 1e-5;
  std::istringstream words(expected);
  std::size_t n = 0;
  for (std::string word; words >> word; ++n) {
    REQUIRE(n < scores.size());
    CHECK(std::abs(static_cast<double>(scores[n]) - std::strtod(word.c_str(), nullptr)) <= allowed);
  }
  CHECK(n == scores.size());
}

template <class T>
void check_best(const ModelView<T>& model, const PatternView& seen, const std::string& expected) {
  constexpr Index kBest = 3;
  std::istringstream words(expected);
  Code user = 0;
  words >> user;
  Code items[kBest];
  T scores[kBest];
  // The pattern of this user alone: one row for each query.
  std::vector<Index> offsets{0, 0};
  PatternView mine{1, model.item_factors.rows, offsets.data(), nullptr};
  if (seen.n_users > 0) {
    offsets[1] = seen.offsets[user + 1] - seen.offsets[user];
    mine.items = seen.items + seen.offsets[user];
  }
  recommend<T>(model, std::span<const Code>(&user, 1), kBest, &mine, {items, 1, kBest}, {scores, 1, kBest}, 1);
  Index n = 0;
  for (Code item = 0; words >> item; ++n) CHECK(items[n] == item);
  if (n < kBest) CHECK(items[n] == -1);
}

template <class T>
void check_answers(const ModelFile& file, const fs::path& path) {
  int n_scores = 0, n_best = 0, n_settings = 0;
  for (const auto& [word, rest] : expected_answers(path)) {
    if (word == "scores") {
      check_scores(file.model<T>(), rest);
      ++n_scores;
    } else if (word == "best") {
      check_best(file.model<T>(), file.record().seen, rest);
      ++n_best;
    } else if (rest.rfind("loss ", 0) == 0) {
      CHECK(name_of(file.settings().loss) == rest.substr(5));
      ++n_settings;
    }
  }
  CHECK(n_scores == 1);
  CHECK(n_best == file.model<T>().user_factors.rows);
  CHECK(n_settings == 1);
}

}  // namespace

TEST_CASE("golden files of every version give the answers that they gave") {
  const auto files = files_below(MATFAC_GOLDEN_FILES, ".safetensors");
  CHECK(files.size() >= 11);
  for (const fs::path& path : files) {
    CAPTURE(path.string());
    const ModelFile file = ModelFile::open(path.string());
    CHECK(file.library_version() == path.parent_path().filename().string());
    CHECK(file.settings().regularization.has_value());
    if (file.is_double()) {
      check_answers<double>(file, path);
    } else {
      check_answers<float>(file, path);
    }
  }
}

TEST_CASE("what fuzzing has found is read or refused") {
  const auto files = files_below(MATFAC_FUZZ_CORPUS, "");
  CHECK(files.size() > 50);
  int n_refused = 0, n_followed = 0;
  for (const fs::path& path : files) {
    CAPTURE(path.string());
    const std::string bytes = read_file(path.string());
    const Verdict verdict = examine(std::as_bytes(std::span(bytes)));
    n_refused += verdict == Verdict::refused;
    n_followed += verdict >= Verdict::followed;
    // The same through the door.
    for (const bool verify : {false, true}) {
      const bool opens = open_error(path.string(), verify) == "accepted";
      CHECK(opens == (verdict >= (verify ? Verdict::intact : Verdict::opened)));
      if (!opens) continue;
      const ModelFile file = ModelFile::open(path.string(), verify);
      try {
        static_cast<void>(file.settings());
      } catch (const FileError& error) {
        CHECK(error.system_error() == 0);
      }
      if (verdict >= Verdict::followed) CHECK_FALSE(walk(file) > 1e308);
    }
  }
  CHECK(n_refused > 0);
  CHECK(n_followed > 0);
}

TEST_CASE("a small file with any one bit turned, or cut anywhere, is refused or harmless") {
  for (const char* name : {"implicit_float32", "squared_float64"}) {
    std::string bytes;
    for (const fs::path& path : files_below(MATFAC_GOLDEN_FILES, ".safetensors")) {
      if (path.stem() == name) bytes = read_file(path.string());
    }
    REQUIRE(!bytes.empty());
    CHECK(examine(std::as_bytes(std::span(bytes))) == Verdict::intact);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      CHECK(examine(std::as_bytes(std::span(bytes.data(), i))) == Verdict::refused);
      for (int bit = 0; bit < 8; ++bit) {
        const char before = bytes[i];
        bytes[i] = static_cast<char>(before ^ 1 << bit);
        const Verdict verdict = examine(std::as_bytes(std::span(bytes)));
        if (verdict == Verdict::intact) FAIL_CHECK("bit " << bit << " of byte " << i << " is not seen");
        bytes[i] = before;
      }
    }
  }
}
