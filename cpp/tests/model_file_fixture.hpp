#pragma once

#include <doctest/doctest.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "matfac/error.hpp"
#include "matfac/model_file.hpp"

/// Models to save, files to damage.
namespace matfac::test {

/// A directory of its own that is removed with everything in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    path_ = std::filesystem::temp_directory_path() / ("matfac-test-" + std::to_string(std::random_device{}()));
    std::filesystem::create_directories(path_);
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  std::string file(const std::string& name) const { return (path_ / name).string(); }

  /// Files, directories and links below it, at any depth.
  std::ptrdiff_t n_entries() const {
    return std::distance(std::filesystem::recursive_directory_iterator(path_),
                         std::filesystem::recursive_directory_iterator());
  }

 private:
  std::filesystem::path path_;
};

inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// Changes a file in place.
inline void write_byte(const std::string& path, std::size_t position, char byte) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(position)).put(byte);
}

struct SampleIds {
  std::vector<std::int64_t> integers;
  std::vector<std::string> strings;  // the first is empty; then lengths and alphabets vary
  std::vector<Index> offsets;
  std::vector<char> text;
  bool use_strings = false;

  SampleIds(Index size, bool with_strings) : use_strings(with_strings) {
    const char* const prefixes[] = {"A", "a", "z", "\u00e9", "\u65e5\u672c", "\U0001F600"};
    for (Index i = 0; i < size; ++i) {
      integers.push_back(-20 + 7 * i);
      const Index group = 6 * i / size;
      strings.push_back(i == 0 ? "" : prefixes[group] + std::to_string(1000 + i));
    }
    offsets.push_back(0);
    for (const std::string& id : strings) {
      text.insert(text.end(), id.begin(), id.end());
      offsets.push_back(static_cast<Index>(text.size()));
    }
  }

  IdsView view() const {
    IdsView ids;
    if (use_strings) {
      ids.kind = IdsView::Kind::strings;
      ids.offsets = offsets;
      ids.text = text;
    } else {
      ids.integers = integers;
    }
    return ids;
  }
};

struct SampleOptions {
  bool biases = false;
  bool strings = false;
  bool seen = false;
};

/// A model with everything that a file can hold.
template <class T>
struct Sample {
  Index n_users, n_items, n_factors;
  std::vector<T> user_factors, item_factors, user_biases, item_biases;
  double global_mean = 3.1;
  SampleIds user_ids, item_ids;
  std::vector<Index> seen_offsets;
  std::vector<Code> seen_items;
  std::map<std::string, std::string> metadata{{"solver", "als"}, {"regularization", "0.05"}};

  Sample(Index users, Index items, Index factors, SampleOptions options)
      : n_users(users),
        n_items(items),
        n_factors(factors),
        user_ids(users, options.strings),
        item_ids(items, options.strings) {
    std::mt19937 random(7);
    const auto numbers = [&](Index size) {
      std::vector<T> values(static_cast<std::size_t>(size));
      for (T& value : values) value = std::normal_distribution<T>()(random);
      return values;
    };
    user_factors = numbers(users * factors);
    item_factors = numbers(items * factors);
    if (options.biases) user_biases = numbers(users);
    if (options.biases) item_biases = numbers(items);
    if (!options.seen || users == 0) return;
    seen_offsets.push_back(0);
    for (Index n = 0; n < users; ++n) {
      for (Index m = n % 3; m < items; m += 2 + n % 2) seen_items.push_back(static_cast<Code>(m));
      seen_offsets.push_back(static_cast<Index>(seen_items.size()));
    }
  }

  ModelView<T> model() const {
    return {{user_factors.data(), n_users, n_factors},
            {item_factors.data(), n_items, n_factors},
            user_biases,
            item_biases,
            global_mean};
  }

  ModelRecord record() const {
    ModelRecord record;
    record.user_ids = user_ids.view();
    record.item_ids = item_ids.view();
    if (!seen_offsets.empty()) record.seen = {n_users, n_items, seen_offsets.data(), seen_items.data()};
    record.metadata = metadata;
    return record;
  }
};

/// XXH64 with seed 0, from its specification and in one piece: the twin of what the library computes in stripes.
inline std::uint64_t xxh64(std::string_view bytes) {
  constexpr std::uint64_t p1 = 11400714785074694791u, p2 = 14029467366897019727u, p3 = 1609587929392839161u,
                          p4 = 9650029242287828579u, p5 = 2870177450012600261u;
  std::size_t at = 0;
  const auto take = [&](std::size_t size) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, size);
    at += size;
    return word;
  };
  const auto round = [&](std::uint64_t lane, std::uint64_t word) { return std::rotl(lane + word * p2, 31) * p1; };
  std::uint64_t hash = p5;
  if (bytes.size() >= 32) {
    std::uint64_t lanes[] = {p1 + p2, p2, 0, 0 - p1};
    while (bytes.size() - at >= 32) {
      for (std::uint64_t& lane : lanes) lane = round(lane, take(8));
    }
    hash = std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) + std::rotl(lanes[3], 18);
    for (const std::uint64_t lane : lanes) hash = (hash ^ round(0, lane)) * p1 + p4;
  }
  hash += bytes.size();
  while (bytes.size() - at >= 8) hash = std::rotl(hash ^ round(0, take(8)), 27) * p1 + p4;
  if (bytes.size() - at >= 4) hash = std::rotl(hash ^ take(4) * p1, 23) * p2 + p3;
  while (at < bytes.size()) hash = std::rotl(hash ^ take(1) * p5, 11) * p1;
  hash = (hash ^ hash >> 33) * p2;
  hash = (hash ^ hash >> 29) * p3;
  return hash ^ hash >> 32;
}

/// Gives a file that has been altered the checksum of its bytes, so that only its meaning can betray it.
inline void reseal(std::string& bytes) {
  const std::string key = "\"checksum\":\"xxh64:";
  const std::size_t at = bytes.find(key) + key.size();
  bytes.replace(at, 16, 16, '0');
  std::uint64_t sum = xxh64(bytes);
  for (std::size_t i = 16; i-- > 0; sum >>= 4) bytes[at + i] = "0123456789abcdef"[sum & 15];
}

/// What opening says, or "accepted". A refusal must name the file and blame its content, not the system.
inline std::string open_error(const std::string& path, bool verify) {
  try {
    ModelFile::open(path, verify);
  } catch (const FileError& error) {
    CHECK(error.system_error() == 0);
    CHECK(std::string_view(error.what()).find(path) == 0);
    return error.what();
  }
  return "accepted";
}

/// Follows every index and reads every number that the views promise.
inline double walk(const ModelFile& file) {
  double sum = 0;
  const auto add = [&](const auto& model) {
    for (Index i = 0; i < model.user_factors.size(); ++i) sum += static_cast<double>(model.user_factors.data[i]);
    for (Index i = 0; i < model.item_factors.size(); ++i) sum += static_cast<double>(model.item_factors.data[i]);
    for (const auto bias : model.user_biases) sum += static_cast<double>(bias);
    for (const auto bias : model.item_biases) sum += static_cast<double>(bias);
  };
  if (file.is_double()) {
    add(file.model<double>());
  } else {
    add(file.model<float>());
  }
  const ModelRecord& record = file.record();
  for (const IdsView* ids : {&record.user_ids, &record.item_ids}) {
    for (const char* id : {"", "A1001", "z9", "\u65e5\u672c1003"}) sum += ids->find(std::string_view(id));
    for (const std::int64_t id : {-20, -13, 0, 1000}) sum += ids->find(id);
    for (const char c : ids->text) sum += c;
  }
  std::vector<int> counts(static_cast<std::size_t>(record.seen.n_items));
  for (Index n = 0; n < record.seen.n_users; ++n) {
    for (Index i = record.seen.offsets[n]; i < record.seen.offsets[n + 1]; ++i) {
      sum += ++counts[static_cast<std::size_t>(record.seen.items[i])];
    }
  }
  return sum;
}

}  // namespace matfac::test
