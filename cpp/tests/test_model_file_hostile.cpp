#include <doctest/doctest.h>

#include <functional>
#include <limits>

#include "model_file_fixture.hpp"

using namespace matfac;
using namespace matfac::test;

namespace {

constexpr std::size_t kLengthBytes = 8;

std::string with_length(std::uint64_t length) {
  std::string bytes(kLengthBytes, '\0');
  std::memcpy(bytes.data(), &length, kLengthBytes);
  return bytes;
}

std::string container(std::string header, const std::string& data) {
  while (header.size() % 8 != 0) header += ' ';
  return with_length(header.size()) + header + data;
}

/// A good file, taken apart so that one thing in it can be made bad.
class Victim {
 public:
  explicit Victim(bool strings = false) {
    const Sample<float> sample(3, 4, 2, {true, strings, true});
    save_model(path(), sample.model(), sample.record());
    const std::string bytes = read_file(path());
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data(), kLengthBytes);
    header_ = bytes.substr(kLengthBytes, length);
    data_ = bytes.substr(kLengthBytes + length);
  }

  /// What opening says when `from` in the header is `to`; the checksum is that of the altered bytes.
  std::string error_with(const std::string& from, const std::string& to, bool verify) const {
    std::string header = header_;
    const std::size_t at = header.find(from);
    REQUIRE_MESSAGE(at != std::string::npos, from);
    header.replace(at, from.size(), to);
    return error_of(container(header, data_), verify);
  }

  /// The same when a number in a tensor is another. Returns what asking for the record says when opening says nothing.
  template <class T>
  std::string error_with_value(const std::string& tensor, std::size_t index, T value, bool verify) const {
    std::string data = data_;
    const std::string key = "\"data_offsets\":[";
    const std::size_t entry = header_.find('"' + tensor + '"');
    REQUIRE(entry != std::string::npos);
    const std::size_t begin = std::stoul(header_.substr(header_.find(key, entry) + key.size()));
    std::memcpy(data.data() + begin + index * sizeof(T), &value, sizeof(T));
    return error_of(container(header_, data), verify);
  }

  std::string error_of(std::string bytes, bool verify) const {
    if (bytes.find("\"checksum\":\"xxh64:") != std::string::npos) reseal(bytes);
    write_file(path(), bytes);
    const std::string error = open_error(path(), verify);
    if (error != "accepted") return error;
    const ModelFile file = ModelFile::open(path(), verify);
    try {
      file.record();
    } catch (const FileError& refused) {
      return std::string("record: ") + refused.what();
    }
    walk(file);
    return error;
  }

 private:
  std::string path() const { return directory_.file("m"); }

  TemporaryDirectory directory_;
  std::string header_, data_;
};

void check_phrase(const std::string& error, const std::string& phrase) {
  INFO(error);
  CHECK(error.find(phrase) != std::string::npos);
}

}  // namespace

TEST_CASE("the tool of these tests can make a good file") {
  const Victim victim;
  for (const bool verify : {false, true}) {
    CHECK(victim.error_with("\"solver\"", "\"solver\"", verify) == "accepted");
    const std::string spaced = " \"solver\" :\t\"a\\u006Cs\\/\\ud83d\\ude00\"\n";
    CHECK(victim.error_with("\"solver\":\"als\"", spaced, verify) == "accepted");
  }
}

TEST_CASE("a false header length is refused before it is used") {
  const Victim victim;
  const std::string rest(100, '{');
  check_phrase(victim.error_of("", true), "has 0 bytes");
  check_phrase(victim.error_of("1234567", true), "has 7 bytes");
  check_phrase(victim.error_of(with_length(101) + rest, false), "truncated");
  check_phrase(victim.error_of(with_length(100'000'001) + rest, false), "at most 100000000");
  check_phrase(victim.error_of(with_length(std::uint64_t{1} << 63) + rest, false), "at most 100000000");
  check_phrase(victim.error_of(with_length(~std::uint64_t{0}) + rest, false), "at most 100000000");
  check_phrase(victim.error_of(with_length(0) + rest, false), "does not begin with '{'");
  check_phrase(victim.error_of("PK\3\4 this is another kind of file, long enough", false), "not a safetensors file");
}

TEST_CASE("what is not the JSON of safetensors is refused at its byte") {
  const Victim victim;
  const auto refuses = [&](const std::string& header, const std::string& phrase) {
    const std::string error = victim.error_of(container(header, ""), false);
    check_phrase(error, phrase);
    check_phrase(error, "header");
  };
  refuses("{", "expected '\"', found the end");
  refuses("{}x", "expected the end, found 'x'");
  refuses(std::string("{}\0", 3), "expected the end, found byte 0");
  refuses("{\"a\" 1}", "expected ':'");
  refuses("{\"a\":1}", "expected '{', found '1'");
  refuses("{\"a\":{\"shape\":[1,]}}", "non-negative integer");
  refuses("{\"a\":{\"shape\":[-1]}}", "non-negative integer");
  refuses("{\"a\":{\"shape\":[01]}}", "begins with 0");
  refuses("{\"a\":{\"shape\":[1.0]}}", "expected ','");
  refuses("{\"a\":{\"shape\":[1e3]}}", "expected ','");
  refuses("{\"a\":{\"shape\":[9223372036854775808]}}", "exceeds 2^63 - 1");
  refuses("{\"a\":{\"shape\":[99999999999999999999999999]}}", "exceeds 2^63 - 1");
  refuses("{\"a\":{\"shape\":[1,1,1,1,1,1,1,1,1]}}", "too many dimensions");
  refuses("{\"a\":{\"shape\":[[1]]}}", "non-negative integer");
  refuses("{\"a\":{\"dtype\":null}}", "expected '\"'");
  refuses("{\"a\":{\"strides\":[1]}}", "unknown entry \"strides\"");
  refuses("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", "must have a dtype, a shape and data_offsets");
  refuses("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", "two data_offsets");
  refuses("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", "\"dtype\" comes twice");
  refuses("{\"__metadata__\":{\"a\":\"\",\"\\u0061\":\"\"}}", "\"a\" comes twice");
  refuses("{\"__metadata__\":{},\"__metadata__\":{}}", "\"__metadata__\" comes twice");
  refuses("{\"__metadata__\":{\"a\":1}}", "expected '\"'");
  refuses("{\"__metadata__\":[]}", "expected '{'");
  refuses("{\"\\ud800\":1}", "surrogate stands alone");
  refuses("{\"\\ud800\\u0041\":1}", "surrogate stands alone");
  refuses("{\"\\udc00\":1}", "surrogate stands alone");
  refuses("{\"\\u12g4\":1}", "four hexadecimal digits");
  refuses("{\"\\x\":1}", "unknown escape 'x'");
  refuses("{\"a\nb\":1}", "raw control character");
  for (const char* bad : {"\x80", "\xc0\x80", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
                          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xe6\x97"}) {
    refuses(std::string("{\"").append(bad).append("\":1}"), "not valid UTF-8");
  }
  std::string many = "{\"__metadata__\":{\"0\":\"\"";
  for (int i = 1; i < 1100; ++i) many += ",\"" + std::to_string(i) + "\":\"\"";
  refuses(many + "}}", "more than 1024 entries");
  const std::string deep(1'000'000, '[');
  refuses(std::string("{\"a\":{\"shape\":").append(deep), "non-negative integer");
  refuses(std::string("{\"a\":{\"dtype\":\"").append(1'000'000, 'x'), "does not end");
}

TEST_CASE("a long hostile text does not fill the message") {
  const Victim victim;
  const std::string text(100'000, 'x');
  const std::string error = victim.error_with("\"format\":\"matfac\"", "\"format\":\"" + text + '"', true);
  check_phrase(error, "xxx...");
  CHECK(error.size() < 1000);
  CHECK(victim.error_with("\"format\":\"matfac\"", "\"format\":\"\\u000a\\u001b[31m\"", true).find('\n') ==
        std::string::npos);
}

TEST_CASE("tensors that lie about their place are refused") {
  const Victim victim;  // 3 users, 4 items, 2 factors
  const auto refuses = [&](const std::string& from, const std::string& to, const std::string& phrase) {
    for (const bool verify : {false, true}) check_phrase(victim.error_with(from, to, verify), phrase);
  };
  refuses("\"data_offsets\":[0,24]", "\"data_offsets\":[24,0]", "ends at 0, before its begin at 24");
  refuses("\"data_offsets\":[0,24]", "\"data_offsets\":[0,16]", "needs 24 bytes, its data_offsets hold 16");
  refuses("\"data_offsets\":[24,56]", "\"data_offsets\":[16,48]", "overlaps");
  refuses("\"data_offsets\":[0,24]", "\"data_offsets\":[24,48]", "gap");
  refuses("\"data_offsets\":[24,56]", "\"data_offsets\":[9223372036854775775,9223372036854775807]", "truncated");
  refuses("\"shape\":[3,2]", "\"shape\":[4294967296,4294967296]", "exceeds 2^63 bytes");
  refuses("\"shape\":[3,2]", "\"shape\":[9223372036854775807,2]", "exceeds 2^63 bytes");
  refuses("\"shape\":[3,2]", "\"shape\":[6]", "shape [6], expected [3, 2]");
  refuses("\"shape\":[3,2]", "\"shape\":[2,3]", "shape [2, 3], expected [3, 2]");
  refuses("\"user_ids\":{\"dtype\":\"I64\"", "\"user_ids\":{\"dtype\":\"F16\"", "dtype 'F16'");
  refuses("\"user_ids\":{\"dtype\":\"I64\"", "\"user_ids\":{\"dtype\":\"F64\"", "dtype F64, expected I64");
  refuses("\"user_factors\":{\"dtype\":\"F32\"", "\"user_factors\":{\"dtype\":\"I32\"", "dtype I32, expected F32");
  refuses("\"user_factors\"", "\"user_vectors\"", "'user_factors' is missing");
  refuses("\"user_biases\"", "\"user_offsets\"", "'user_offsets' has no place in format version 1");
  refuses("\"seen.items\"", "\"seen.codes\"", "'seen.items' is missing");
  refuses("\"item_ids\"", "\"item_ids.text\"", "'item_ids' and 'item_ids.offsets' are both missing");
  refuses("\"item_ids\"", "\"user_ids.text\"", "not both");
}

TEST_CASE("a tensor at an odd place is refused: it cannot be mapped") {
  const Victim victim;
  const std::string error = victim.error_with("\"data_offsets\":[0,24]", "\"data_offsets\":[1,25]", false);
  check_phrase(error, "multiple of its element");
}

TEST_CASE("metadata that do not describe the tensors are refused") {
  const Victim victim;
  const auto refuses = [&](const std::string& from, const std::string& to, const std::string& phrase) {
    for (const bool verify : {false, true}) check_phrase(victim.error_with(from, to, verify), phrase);
  };
  refuses("\"format\":\"matfac\"", "\"format\":\"pt\"", "its format is \"pt\"");
  refuses("\"format\":", "\"former\":", "no \"format\"");
  refuses("\"format_version\":\"1\"", "\"format_version\":\"2\"", "written by a newer matfac");
  refuses("\"format_version\":\"1\"", "\"format_version\":\"0\"", "expected a number from 1");
  refuses("\"format_version\":\"1\"", "\"format_version\":\"1.0\"", "expected a number from 1");
  refuses("\"library_version\":", "\"library\":", "no \"library_version\"");
  refuses("\"n_users\":\"3\"", "\"n_users\":\"4\"", "expected [4, 2]");
  refuses("\"n_items\":\"4\"", "\"n_items\":\"5\"", "expected [5, 2]");
  refuses("\"n_factors\":\"2\"", "\"n_factors\":\"3\"", "expected [3, 3]");
  refuses("\"n_users\":\"3\"", "\"n_users\":\"-3\"", "expected an integer in [0, 2147483647]");
  refuses("\"n_users\":\"3\"", "\"n_users\":\"03\"", "expected an integer in");
  refuses("\"n_users\":\"3\"", "\"n_users\":\"2147483648\"", "expected an integer in");
  refuses("\"n_users\":\"3\"", "\"n_users\":\"99999999999999999999\"", "expected an integer in");
  refuses("\"n_factors\":\"2\"", "\"n_factors\":\"0\"", "expected an integer in [1,");
  refuses("\"dtype\":\"float32\"", "\"dtype\":\"float16\"", "expected \"float32\" or \"float64\"");
  refuses("\"dtype\":\"float32\"", "\"dtype\":\"float64\"", "dtype F32, expected F64");
  refuses("\"global_mean\":\"0x1.", "\"global_mean\":\"0X1.", "expected a finite number");
  refuses("\"global_mean\":\"0x1.", "\"global_mean\":\"0x0.", "expected a finite number");
  refuses("\"global_mean\":\"0x1.", "\"global_mean\":\"0x1.0", "expected a finite number");
  refuses("p+1\"", "p+1024\"", "expected a finite number");
  refuses("p+1\"", "p+01\"", "expected a finite number");
  refuses("\"checksum\":\"xxh64:", "\"checksum\":\"crc32:", "expected \"xxh64:\"");
  refuses("\"checksum\":\"xxh64:", "\"checksum\":\"xxh64:0", "16 hexadecimal digits");
  refuses("\"checksum\":\"xxh64:", "\"checksum\":\"\\u0078xh64:", "16 hexadecimal digits");
  refuses("\"checksum\":", "\"check\":", "no \"checksum\"");
}

TEST_CASE("a later version is recognized before anything else that it might change") {
  const Victim victim;
  const std::string header =
      "{\"__metadata__\":{\"format\":\"matfac\",\"format_version\":\"12\","
      "\"library_version\":\"3.4\"},"
      "\"user_factors\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]}}";
  const std::string error = victim.error_of(container(header, "1234"), true);
  check_phrase(error, "format version 12");
  check_phrase(error, "newer matfac (3.4)");
  check_phrase(error, "update matfac");
}

TEST_CASE("indices are checked before anybody can follow them") {
  const Victim integers(false), strings(true);
  const auto refuses = [](const Victim& victim, const std::string& tensor, std::size_t index, auto value,
                          const std::string& phrase) {
    const std::string verified = victim.error_with_value(tensor, index, value, true);
    check_phrase(verified, phrase);
    CHECK(verified.find("record: ") == std::string::npos);
    const std::string lazy = victim.error_with_value(tensor, index, value, false);
    check_phrase(lazy, phrase);
    CHECK(lazy.find("record: ") == 0);  // opening read only the header
  };
  constexpr Index kHuge = std::numeric_limits<Index>::max();
  refuses(integers, "seen.offsets", 0, Index{1}, "must begin with 0");
  refuses(integers, "seen.offsets", 1, Index{-1}, "never fall");
  refuses(integers, "seen.offsets", 1, kHuge, "never fall");
  refuses(integers, "seen.offsets", 3, kHuge, "must end with the length");
  refuses(integers, "seen.offsets", 3, Index{0}, "must end with the length");
  refuses(integers, "seen.items", 0, Code{4}, "out of range");
  refuses(integers, "seen.items", 1, Code{-1}, "out of range");
  refuses(integers, "seen.items", 1, Code{0}, "strictly ascending");
  refuses(strings, "user_ids.offsets", 0, Index{1}, "must begin with 0");
  refuses(strings, "user_ids.offsets", 1, Index{-8}, "never fall");
  refuses(strings, "item_ids.offsets", 1, kHuge, "never fall");
  refuses(strings, "item_ids.offsets", 4, kHuge, "must end with the length");
}

TEST_CASE("a part of the record that is damaged leaves the others") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("m");
  const Sample<float> sample(3, 4, 2, {true, true, true});
  save_model(path, sample.model(), sample.record());
  const std::string bytes = read_file(path);
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  const auto damaged = [&](const std::string& tensor) {
    const std::string key = "\"data_offsets\":[";
    const std::size_t begin = std::stoul(bytes.substr(bytes.find(key, bytes.find('"' + tensor + '"')) + key.size()));
    write_file(path, bytes);
    write_byte(path, kLengthBytes + length + begin + 15, '\x7f');  // the second offset, now beyond all sizes
    return ModelFile::open(path, false);
  };
  const auto works = [&](const std::function<void()>& ask) {
    try {
      ask();
      return true;
    } catch (const FileError& error) {
      CHECK(std::string(error.what()).find(path) == 0);
      return false;
    }
  };
  for (const std::string part : {"user_ids", "item_ids", "seen"}) {
    const ModelFile file = damaged(part + ".offsets");
    for (int again = 0; again < 2; ++again) {
      CHECK(works([&] { file.user_ids(); }) == (part != "user_ids"));
      CHECK(works([&] { file.item_ids(); }) == (part != "item_ids"));
      CHECK(works([&] { file.seen(); }) == (part != "seen"));
      CHECK_FALSE(works([&] { file.record(); }));
    }
    CHECK(file.metadata() == sample.metadata);
    CHECK(file.model<float>().item_factors.rows == 4);
  }
}

TEST_CASE("values are checked when all bytes are read anyway") {
  const Victim integers(false), strings(true);
  const auto refuses = [](const Victim& victim, const std::string& tensor, std::size_t index, auto value,
                          const std::string& phrase) {
    check_phrase(victim.error_with_value(tensor, index, value, true), phrase);
    CHECK(victim.error_with_value(tensor, index, value, false) == "accepted");
  };
  refuses(integers, "user_ids", 1, std::int64_t{-20}, "strictly ascending");
  refuses(integers, "item_ids", 3, std::int64_t{-100}, "strictly ascending");
  refuses(strings, "user_ids.text", 0, '\xff', "not valid UTF-8");
  refuses(strings, "item_ids.text", 5, '!', "not valid UTF-8");  // within the first character of the third id
  refuses(integers, "user_factors", 5, std::numeric_limits<float>::quiet_NaN(), "user_factors");
  refuses(integers, "item_biases", 0, std::numeric_limits<float>::infinity(), "item_biases");
}
