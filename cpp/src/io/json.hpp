#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>

namespace matfac {

/// A strict reader for the JSON of a safetensors header: objects, arrays, strings and non-negative integers.
///
/// The caller asks for what the format has at that place, so nesting goes no deeper than the caller's own calls and
/// memory never exceeds a small multiple of the text. Refuses (InvalidArgument, with the byte where it happened)
/// duplicate keys, more than `kMaxEntries` members or elements, bad UTF-8, raw control characters, lone surrogates, and
/// numbers with a sign, a fraction, an exponent, a leading zero or a value beyond 2^63 - 1.
class JsonReader {
 public:
  static constexpr std::size_t kMaxEntries = 1024;  ///< of one object or array

  struct String {
    std::string text;
    std::size_t begin = 0;  ///< where the characters between the quotes begin in the source ...
    std::size_t end = 0;    ///< ... and end; longer than `text` when there are escapes
  };

  explicit JsonReader(std::string_view source) : source_(source) {}

  String string();
  std::int64_t integer();

  /// Calls `member(key)` for each member, the reader standing before its value.
  template <class F>
  void object(F&& member) {
    std::set<std::string, std::less<>> keys;
    sequence('{', '}', [&] {
      String key = string();
      if (!keys.insert(key.text).second) fail_duplicate(key);
      expect(':');
      member(key);
    });
  }

  /// Calls `element()` for each element, the reader standing before it.
  template <class F>
  void array(F&& element) {
    sequence('[', ']', element);
  }

  /// Refuses anything but white space after the value.
  void end();

  /// Throws InvalidArgument: "byte N of the header: " and `what`.
  [[noreturn]] void fail(std::string_view what) const;

 private:
  template <class F>
  void sequence(char open, char close, F&& entry) {
    expect(open);
    if (accept(close)) return;
    for (std::size_t count = 1;; ++count) {
      if (count > kMaxEntries) fail_too_many();
      entry();
      if (accept(close)) return;
      expect(',');
    }
  }

  void skip_space();
  bool accept(char c);
  void expect(char c);
  void read_escape(std::string& text);
  unsigned read_hex4();
  [[noreturn]] void fail_duplicate(const String& key) const;
  [[noreturn]] void fail_too_many() const;

  std::string_view source_;
  std::size_t at_ = 0;
};

/// Appends `text` (valid UTF-8) in quotes. Escaped are `"`, `\` and the characters below U+0020, nothing else.
void append_json_string(std::string& json, std::string_view text);

}  // namespace matfac
