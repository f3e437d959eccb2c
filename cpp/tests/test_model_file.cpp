#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <locale>
#include <thread>

#include "matfac/error.hpp"
#include "matfac/version.hpp"
#include "model_file_fixture.hpp"

using namespace matfac;
using namespace matfac::test;

namespace {

template <class T>
bool same_bits(std::span<const T> a, std::span<const T> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

template <class T>
std::span<const T> values(const MatrixView<const T>& matrix) {
  return {matrix.data, static_cast<std::size_t>(matrix.size())};
}

bool same_ids(const IdsView& a, const IdsView& b) {
  return a.kind == b.kind && same_bits(a.integers, b.integers) && same_bits(a.offsets, b.offsets) &&
         same_bits(a.text, b.text);
}

template <class T>
void check_same(const ModelFile& file, const Sample<T>& sample) {
  const ModelView<T> model = file.model<T>(), expected = sample.model();
  CHECK(file.is_double() == std::is_same_v<T, double>);
  CHECK(model.user_factors.rows == expected.user_factors.rows);
  CHECK(model.user_factors.cols == expected.user_factors.cols);
  CHECK(model.item_factors.rows == expected.item_factors.rows);
  CHECK(same_bits(values(model.user_factors), values(expected.user_factors)));
  CHECK(same_bits(values(model.item_factors), values(expected.item_factors)));
  CHECK(same_bits(model.user_biases, expected.user_biases));
  CHECK(same_bits(model.item_biases, expected.item_biases));
  CHECK(std::bit_cast<std::uint64_t>(model.global_mean) == std::bit_cast<std::uint64_t>(expected.global_mean));
  CHECK(same_ids(file.record().user_ids, sample.record().user_ids));
  CHECK(same_ids(file.record().item_ids, sample.record().item_ids));
  const PatternView seen = file.record().seen, expected_seen = sample.record().seen;
  REQUIRE(seen.n_users == expected_seen.n_users);
  CHECK(seen.n_items == expected_seen.n_items);
  CHECK(seen.nnz() == expected_seen.nnz());
  for (Index n = 0; n < seen.n_users; ++n) CHECK(seen.offsets[n + 1] == expected_seen.offsets[n + 1]);
  for (Index i = 0; i < seen.nnz(); ++i) CHECK(seen.items[i] == expected_seen.items[i]);
  CHECK(file.record().metadata == sample.metadata);
  CHECK(file.library_version() == MATFAC_VERSION);
}

}  // namespace

TEST_CASE_TEMPLATE("a model comes back bit for bit", T, float, double) {
  const TemporaryDirectory directory;
  for (const bool biases : {false, true}) {
    for (const bool strings : {false, true}) {
      for (const bool seen : {false, true}) {
        for (const Index n_factors : {1, 3, 16}) {
          const Sample<T> sample(9, 5, n_factors, {biases, strings, seen});
          const std::string path = directory.file("model.safetensors");
          save_model(path, sample.model(), sample.record());
          check_same(ModelFile::open(path, true), sample);
          check_same(ModelFile::open(path, false), sample);
        }
      }
    }
  }
}

TEST_CASE("the smallest models come back") {
  const TemporaryDirectory directory;
  for (const auto& [n_users, n_items] : {std::pair<Index, Index>{1, 1}, {0, 0}, {0, 3}, {3, 0}}) {
    for (const bool strings : {false, true}) {
      const Sample<float> sample(n_users, n_items, 1, {true, strings, true});
      save_model(directory.file("m"), sample.model(), sample.record());
      check_same(ModelFile::open(directory.file("m")), sample);
    }
  }
}

TEST_CASE("nobody need have seen anything") {
  const TemporaryDirectory directory;
  Sample<double> sample(4, 3, 2, {true, false, true});
  sample.seen_items.clear();
  sample.seen_offsets.assign(5, 0);
  save_model(directory.file("m"), sample.model(), sample.record());
  check_same(ModelFile::open(directory.file("m")), sample);
}

TEST_CASE("the mean survives bit for bit") {
  const TemporaryDirectory directory;
  using Limits = std::numeric_limits<double>;
  Sample<float> sample(1, 1, 1, {});
  for (const double mean : {0.0, -0.0, 0.1, -1.0 / 3, 3.5, Limits::max(), Limits::lowest(), Limits::min(),
                            Limits::denorm_min(), -2.5e-310, std::nextafter(1.0, 2.0)}) {
    sample.global_mean = mean;
    save_model(directory.file("m"), sample.model(), sample.record());
    check_same(ModelFile::open(directory.file("m")), sample);
  }
}

TEST_CASE("any text survives in the metadata") {
  const TemporaryDirectory directory;
  Sample<float> sample(2, 2, 2, {});
  sample.metadata = {{"", ""},
                     {"quote\"back\\slash", "tab\t line\n null" + std::string(1, '\0') + "\x1f\x7f"},
                     {"unicode", "\u00e9 \u65e5\u672c \U0001F600"},
                     {"text", "\"checksum\":\"xxh64:"}};
  save_model(directory.file("m"), sample.model(), sample.record());
  check_same(ModelFile::open(directory.file("m")), sample);
}

TEST_CASE("the same model gives the same bytes, whatever the locale") {
  struct Grouping : std::numpunct<char> {
    char do_thousands_sep() const override { return '.'; }
    char do_decimal_point() const override { return ','; }
    std::string do_grouping() const override { return "\1"; }
  };
  const TemporaryDirectory directory;
  const Sample<double> sample(20, 11, 7, {true, true, true});
  save_model(directory.file("a"), sample.model(), sample.record());
  const std::locale before = std::locale::global(std::locale(std::locale::classic(), new Grouping));
  save_model(directory.file("b"), sample.model(), sample.record());
  check_same(ModelFile::open(directory.file("b")), sample);
  std::locale::global(before);
  CHECK(read_file(directory.file("a")) == read_file(directory.file("b")));
}

TEST_CASE("the checksum is XXH64 over the file, its own digits as zeros") {
  CHECK(xxh64("") == 0xEF46DB3751D8E999);
  CHECK(xxh64("abc") == 0x44BC2CF5AD770999);
  CHECK(xxh64("xxhash is a checksum of 64 bits, fed here more than a stripe") != 0);
  const TemporaryDirectory directory;
  for (Index n_users = 1; n_users < 40; ++n_users) {  // every remainder modulo a stripe
    const Sample<float> sample(n_users, 3, 1, {false, true, false});
    save_model(directory.file("m"), sample.model(), sample.record());
    std::string bytes = read_file(directory.file("m"));
    const std::string before = bytes;
    reseal(bytes);
    CHECK(bytes == before);
    for (const bool verify : {false, true}) {
      const std::string checksum = ModelFile::open(directory.file("m"), verify).checksum();
      CHECK(checksum.size() == std::string("xxh64:").size() + 16);
      CHECK(bytes.find("\"checksum\":\"" + checksum + "\"") != std::string::npos);
    }
  }
}

TEST_CASE("the file of another version says so, and an empty object nothing") {
  const TemporaryDirectory directory;
  const Sample<float> sample(2, 3, 1, {});
  save_model(directory.file("m"), sample.model(), sample.record());
  std::string bytes = read_file(directory.file("m"));
  const std::string key = "\"library_version\":\"";
  bytes.replace(bytes.find(key) + key.size(), std::string(MATFAC_VERSION).size(), "9.8.7");
  reseal(bytes);
  write_file(directory.file("m"), bytes);
  CHECK(ModelFile::open(directory.file("m")).library_version() == "9.8.7");
  CHECK_THROWS_AS(ModelFile().library_version(), InvalidArgument);
  CHECK_THROWS_AS(ModelFile().checksum(), InvalidArgument);
}

TEST_CASE("tensors lie where a mapping reader wants them") {
  const TemporaryDirectory directory;
  for (Index n_users = 1; n_users < 18; ++n_users) {
    const Sample<float> sample(n_users, 7, 16, {true, true, true});
    save_model(directory.file("m"), sample.model(), sample.record());
    const ModelFile file = ModelFile::open(directory.file("m"));
    const auto address = [](const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); };
    CHECK(address(file.model<float>().user_factors.data) % 64 == 0);
    CHECK(address(file.model<float>().item_factors.data) % 64 == 0);  // because rows of 16 floats fill 64 bytes
    CHECK(address(file.record().seen.offsets) % 8 == 0);
    CHECK(address(file.record().user_ids.offsets.data()) % 8 == 0);
    CHECK(address(file.record().item_ids.offsets.data()) % 8 == 0);
  }
}

TEST_CASE("ids are found by value") {
  const TemporaryDirectory directory;
  for (const bool strings : {false, true}) {
    const Sample<float> sample(50, 4, 2, {false, strings, false});
    save_model(directory.file("m"), sample.model(), sample.record());
    const ModelFile file = ModelFile::open(directory.file("m"));
    const IdsView& ids = file.record().user_ids;
    REQUIRE(ids.size() == 50);
    for (Code code = 0; code < 50; ++code) {
      if (strings) {
        CHECK(ids.find(std::string_view(sample.user_ids.strings[static_cast<std::size_t>(code)])) == code);
      } else {
        CHECK(ids.find(sample.user_ids.integers[static_cast<std::size_t>(code)]) == code);
      }
    }
    CHECK(ids.find(std::int64_t{-1'000'000}) == -1);
    CHECK(ids.find(std::int64_t{1'000'000}) == -1);
    CHECK(ids.find(std::string_view("\x7f none")) == -1);
    CHECK(ids.find(std::string_view("\xf4\x8f\xbf\xbf")) == -1);
  }
}

TEST_CASE("an empty object and the wrong type are refused by name") {
  const TemporaryDirectory directory;
  const Sample<float> sample(2, 2, 2, {});
  save_model(directory.file("m"), sample.model(), sample.record());
  const ModelFile file = ModelFile::open(directory.file("m"));
  CHECK_THROWS_AS(file.model<double>(), InvalidArgument);
  CHECK_THROWS_AS(ModelFile().record(), InvalidArgument);
  CHECK_THROWS_AS(ModelFile().user_ids(), InvalidArgument);
  CHECK_THROWS_AS(ModelFile().item_ids(), InvalidArgument);
  CHECK_THROWS_AS(ModelFile().seen(), InvalidArgument);
  CHECK_THROWS_AS(ModelFile().metadata(), InvalidArgument);
  CHECK_THROWS_AS(ModelFile().settings(), InvalidArgument);
  CHECK_THROWS_AS(ModelFile().model<float>(), InvalidArgument);
}

TEST_CASE("a copy keeps the mapping after the first object and the file are gone") {
  const TemporaryDirectory directory;
  const Sample<double> sample(30, 20, 8, {true, true, true}), other(3, 2, 1, {});
  save_model(directory.file("m"), sample.model(), sample.record());
  ModelFile copy;
  {
    const ModelFile file = ModelFile::open(directory.file("m"), false);
    copy = file;
  }
  save_model(directory.file("m"), other.model(), other.record());
  check_same(copy, sample);
  check_same(ModelFile::open(directory.file("m")), other);
}

TEST_CASE("many threads may ask for the record first") {
  const TemporaryDirectory directory;
  const Sample<float> sample(500, 100, 4, {true, true, true});
  save_model(directory.file("m"), sample.model(), sample.record());
  const ModelFile file = ModelFile::open(directory.file("m"), false);
  std::vector<std::thread> threads;
  std::vector<Index> sums(8);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    threads.emplace_back([&, i] { sums[i] = file.record().seen.nnz() + file.record().user_ids.size(); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Index sum : sums) CHECK(sum == static_cast<Index>(sample.seen_items.size()) + 500);
}

TEST_CASE("what makes no model is refused before anything is written") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("m");
  using Change = std::function<void(Sample<float>&, ModelView<float>&, ModelRecord&)>;
  const auto refuses = [&](const std::string& phrase, const Change& change, bool strings = false) {
    Sample<float> sample(5, 4, 3, {true, strings, true});
    ModelView<float> model = sample.model();
    ModelRecord record = sample.record();
    change(sample, model, record);
    std::string text = "accepted";
    try {
      save_model(path, model, record);
    } catch (const InvalidArgument& error) {
      text = error.what();
    }
    INFO(text);
    CHECK(text.find(phrase) != std::string::npos);
    CHECK(directory.n_entries() == 0);
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  refuses("user_factors", [&](auto& s, auto&, auto&) { s.user_factors[4] = nan; });
  refuses("item_biases", [&](auto& s, auto&, auto&) { s.item_biases[1] = 1 / 0.0f; });
  refuses("mean", [&](auto&, auto& m, auto&) { m.global_mean = nan; });
  refuses("item_factors", [](auto&, auto& m, auto&) { m.item_factors.cols = 2; });
  refuses("n_factors", [](auto&, auto& m, auto&) { m.user_factors.cols = 0; });
  refuses("n_users", [](auto&, auto& m, auto&) { m.user_factors.rows = Index{1} << 31; });
  refuses("user_factors", [](auto&, auto& m, auto&) { m.user_factors.data = nullptr; });
  refuses("user_biases", [](auto&, auto& m, auto&) { m.user_biases = m.user_biases.first(3); });
  refuses("user_ids has 4", [](auto&, auto&, auto& r) { r.user_ids.integers = r.user_ids.integers.first(4); });
  refuses("item_ids must be strictly", [](auto& s, auto&, auto&) { s.item_ids.integers[2] = s.item_ids.integers[1]; });
  refuses("user_ids must be strictly", [](auto& s, auto&, auto&) { s.user_ids.text[0] = '~'; }, true);  // was "a1001"
  refuses("UTF-8", [](auto& s, auto&, auto&) { s.user_ids.text.back() = '\xff'; }, true);
  refuses("user_ids.offsets must end", [](auto& s, auto&, auto&) { s.user_ids.offsets.back() += 1; }, true);
  refuses("user_ids.offsets must never fall", [](auto& s, auto&, auto&) { s.user_ids.offsets[1] = 100; }, true);
  refuses("on both sides", [](auto&, auto& m, auto&) { m.item_biases = {}; });
  refuses("seen has", [](auto&, auto&, auto& r) { r.seen.n_items = 3; });
  refuses("seen has no items", [](auto&, auto&, auto& r) { r.seen.items = nullptr; });
  refuses("null character", [](auto& s, auto&, auto&) { s.user_ids.text.back() = '\0'; }, true);
  refuses("range", [](auto& s, auto&, auto&) { s.seen_items[0] = 4; });
  refuses("offsets", [](auto& s, auto&, auto&) { s.seen_offsets[2] = 0; });
  refuses("belongs to the file format", [](auto&, auto&, auto& r) { r.metadata["checksum"] = "x"; });
  refuses("UTF-8", [](auto&, auto&, auto& r) { r.metadata["note"] = "\xc0\x80"; });
  refuses("at most", [](auto&, auto&, auto& r) {
    for (int i = 0; i < 1100; ++i) r.metadata[std::to_string(i)] = "";
  });
  const Sample<float> sample(1, 1, 1, {});
  CHECK_THROWS_AS(save_model(path + std::string(1, '\0'), sample.model(), sample.record()), InvalidArgument);
}

TEST_CASE("every truncation and every appended byte is refused") {
  const TemporaryDirectory directory;
  const Sample<float> sample(3, 4, 2, {true, true, true});
  const std::string path = directory.file("m");
  save_model(path, sample.model(), sample.record());
  const std::uintmax_t size = std::filesystem::file_size(path);
  std::filesystem::resize_file(path, size + 1);
  for (const bool verify : {false, true}) {
    CHECK(open_error(path, verify).find("bytes follow") != std::string::npos);
  }
  for (std::uintmax_t shorter = size; shorter-- > 0;) {
    std::filesystem::resize_file(path, shorter);
    for (const bool verify : {false, true}) CHECK(open_error(path, verify) != "accepted");
  }
}

TEST_CASE("every flipped bit is refused, and harmless where nobody looks") {
  const TemporaryDirectory directory;
  const Sample<double> sample(3, 4, 2, {true, true, true});
  const std::string path = directory.file("m");
  save_model(path, sample.model(), sample.record());
  const std::string bytes = read_file(path);
  std::size_t n_accepted = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      write_byte(path, i, static_cast<char>(bytes[i] ^ (1 << bit)));
      CHECK(open_error(path, true) != "accepted");
      try {
        walk(ModelFile::open(path, false));  // the sanitizers watch
        ++n_accepted;
      } catch (const FileError&) {
      }
    }
    write_byte(path, i, bytes[i]);
  }
  CHECK(n_accepted >= 8 * 8 * sample.user_factors.size());  // numbers are not read before they are used
}

#ifndef _WIN32

TEST_CASE("the system's refusals carry its error number") {
  const TemporaryDirectory directory;
  const Sample<float> sample(2, 2, 2, {});
  const auto error_of = [](const std::function<void()>& call) {
    try {
      call();
    } catch (const FileError& error) {
      return error.system_error();
    }
    return -1;
  };
  const auto save = [&](const std::string& path) {
    return error_of([&] { save_model(path, sample.model(), sample.record()); });
  };
  const auto open = [&](const std::string& path) { return error_of([&] { ModelFile::open(path); }); };
  CHECK(open(directory.file("none")) == ENOENT);
  CHECK(open(directory.file("")) == EISDIR);
  CHECK(open("/dev/null") == 0);
  CHECK(save(directory.file("none/m")) == ENOENT);
  CHECK(save(directory.file("")) == EISDIR);
  CHECK(save("") == ENOENT);
  CHECK(save("/dev/full") == 0);
  write_file(directory.file("file"), "x");
  CHECK(save(directory.file("file/m")) == ENOTDIR);
  CHECK(directory.n_entries() == 1);
}

TEST_CASE("saving goes through a symbolic link and keeps permissions") {
  namespace fs = std::filesystem;
  const TemporaryDirectory directory;
  const Sample<float> sample(2, 2, 2, {});
  fs::create_directory(directory.file("real"));
  write_file(directory.file("real/m"), "earlier");
  fs::permissions(directory.file("real/m"), fs::perms(0640));
  fs::create_symlink("real/m", directory.file("link"));
  save_model(directory.file("link"), sample.model(), sample.record());
  CHECK(fs::is_symlink(directory.file("link")));
  check_same(ModelFile::open(directory.file("real/m")), sample);
  CHECK(fs::status(directory.file("real/m")).permissions() == fs::perms(0640));

  fs::create_symlink("real/new", directory.file("dangling"));
  save_model(directory.file("dangling"), sample.model(), sample.record());
  check_same(ModelFile::open(directory.file("real/new")), sample);

  fs::create_symlink("loop", directory.file("loop"));
  CHECK_THROWS_AS(save_model(directory.file("loop"), sample.model(), sample.record()), FileError);
  CHECK(directory.n_entries() == 6);  // real, real/m, real/new, link, dangling, loop: nothing temporary
}

#endif
