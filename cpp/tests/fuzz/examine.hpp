#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <span>

#include "io/model_contents.hpp"
#include "io/settings_entries.hpp"
#include "matfac/error.hpp"

/// What a stranger's file goes through, in memory: all that `ModelFile` does with it, with and without the checksum.
namespace matfac::test {

/// A copy that begins at a multiple of 8, as a mapping does, and ends with the memory that may be read.
class AlignedCopy {
 public:
  explicit AlignedCopy(std::span<const std::byte> bytes)
      : memory_(::operator new(bytes.size(), kAlignment)), size_(bytes.size()) {
    if (!bytes.empty()) std::memcpy(memory_, bytes.data(), bytes.size());
  }
  ~AlignedCopy() { ::operator delete(memory_, kAlignment); }
  AlignedCopy(const AlignedCopy&) = delete;
  AlignedCopy& operator=(const AlignedCopy&) = delete;

  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(memory_), size_}; }

 private:
  static constexpr std::align_val_t kAlignment{64};
  void* memory_;
  std::size_t size_;
};

/// Follows every index and reads every byte that the views promise. The sum is there to be computed.
inline double follow(const ModelContents& contents) {
  double sum = 0;
  std::visit(
      [&](const auto& model) {
        for (const auto& matrix : {model.user_factors, model.item_factors}) {
          for (Index i = 0; i < matrix.size(); ++i) sum += static_cast<double>(matrix.data[i]);
        }
        for (const auto& biases : {model.user_biases, model.item_biases}) {
          for (const auto bias : biases) sum += static_cast<double>(bias);
        }
      },
      contents.model);
  for (const IdsView* ids : {&contents.record.user_ids, &contents.record.item_ids}) {
    for (const char* id : {"", "a", "item-3", "\xff"}) sum += ids->find(std::string_view(id));
    for (const std::int64_t id : {-1, 0, 7}) sum += ids->find(id);
    for (const char c : ids->text) sum += c;
  }
  const PatternView& seen = contents.record.seen;
  for (Index n = 0; n < seen.n_users; ++n) {
    for (Index i = seen.offsets[n]; i < seen.offsets[n + 1]; ++i) {
      const Code item = seen.items[i];
      if (item < 0 || item >= seen.n_items) __builtin_trap();  // `check_indices` has let it pass
      sum += item;
    }
  }
  return sum;
}

/// How far a file came.
enum class Verdict { refused, opened, followed, intact };

/// Throws nothing but what it must not.
inline Verdict examine(std::span<const std::byte> file) {
  const AlignedCopy copy(file);
  Verdict verdict = Verdict::refused;
  try {
    const ModelContents contents = read_contents(copy.bytes());
    verdict = Verdict::opened;
    try {
      static_cast<void>(settings_of(contents));
    } catch (const InvalidArgument&) {  // a matter of the caller's entries; the parameters may still serve
    }
    bool is_altered = false;
    try {
      check_bytes(contents, copy.bytes());
    } catch (const InvalidArgument&) {
      is_altered = true;  // what `verify_checksum` refuses, and a fuzzer could never come past
    }
    check_indices(contents);
    verdict = Verdict::followed;
    volatile double sum = follow(contents);
    static_cast<void>(sum);
    check_values(contents);
    if (!is_altered) verdict = Verdict::intact;
  } catch (const InvalidArgument&) {
  }
  return verdict;
}

}  // namespace matfac::test
