#include "core/text_table.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "core/hash.hpp"

namespace matfac {
namespace {

constexpr std::size_t kRecordWords = sizeof(TextRecord) / sizeof(std::uint64_t);

std::uint64_t shape_of(const TextView& text) {
  return static_cast<std::uint64_t>(text.length) << 2 | static_cast<std::uint64_t>(text.unit_bytes >> 1);
}

std::uint32_t unit_at(const unsigned char* bytes, int log_unit, Index i) {
  const auto at = static_cast<std::size_t>(i) << log_unit;
  if (log_unit == 0) return bytes[at];
  return static_cast<std::uint32_t>(log_unit == 1 ? load_word<std::uint16_t>(bytes + at)
                                                  : load_word<std::uint32_t>(bytes + at));
}

}  // namespace

std::uint32_t TextRecord::unit(Index i) const { return unit_at(bytes(), log_unit(), i); }

// Eight units of a byte each, the first one in front. A unit that needs more is cut to 255, and what follows it left
// out: this keeps the order, and leaves the decision to the comparison of the strings themselves.
TextKey TextKey::of(const TextRecord* record) {
  TextKey key{0, record};
  const Index n = std::min<Index>(record->length(), 8);
  for (Index i = 0; i < n; ++i) {
    const std::uint32_t unit = record->unit(i);
    key.prefix |= std::uint64_t{std::min(unit, 255u)} << (56 - 8 * i);
    if (unit >= 255) break;
  }
  return key;
}

bool operator<(const TextKey& a, const TextKey& b) {
  if (a.prefix != b.prefix) return a.prefix < b.prefix;
  const TextRecord &x = *a.record, &y = *b.record;
  const Index n = std::min(x.length(), y.length());
  if (x.log_unit() == 0 && y.log_unit() == 0) {
    const int order = std::memcmp(x.bytes(), y.bytes(), static_cast<std::size_t>(n));
    return order != 0 ? order < 0 : x.length() < y.length();
  }
  for (Index i = 0; i < n; ++i) {
    if (x.unit(i) != y.unit(i)) return x.unit(i) < y.unit(i);
  }
  return x.length() < y.length();
}

bool operator==(const TextKey& a, const TextKey& b) {
  return a.prefix == b.prefix && a.record->shape == b.record->shape &&
         equal_bytes(a.record->bytes(), b.record->bytes(), a.record->size_bytes());
}

// The first word is left out: place 0 stands for none.
TextTable::TextTable(Index max_units) : max_units_(max_units), seed_(hash_seed(this)), slots_(1024), words_(1) {}

void TextTable::add(const TextColumn& column, Index begin, Index end, Code* codes) {
  // Everything of a batch is asked for before any of it is used, so that its waits for memory overlap.
  constexpr Index kBatch = 64;
  TextView texts[kBatch];
  std::uint64_t shapes[kBatch];
  std::uint32_t tags[kBatch];
  for (Index first = begin; first < end; first += kBatch) {
    const Index last = std::min(first + kBatch, end);
    column.read(column.source, first, last, texts);
    const auto n = static_cast<std::size_t>(last - first);
    for (std::size_t i = 0; i < n; ++i) {
      longest_ = std::max(longest_, texts[i].length);
      if (texts[i].length > max_units_) texts[i].length = 0;
      const auto size = static_cast<std::size_t>(texts[i].length) * static_cast<std::size_t>(texts[i].unit_bytes);
      shapes[i] = shape_of(texts[i]);
      tags[i] = static_cast<std::uint32_t>(
          hash_bytes(static_cast<const unsigned char*>(texts[i].data), size, seed_ + shapes[i]));
      __builtin_prefetch(&slots_[first_slot(tags[i])]);
    }
    for (std::size_t i = 0; i < n; ++i) {
      const Slot& slot = slots_[first_slot(tags[i])];
      if (slot.place == 0) continue;
      __builtin_prefetch(record_at(slot.place));
      __builtin_prefetch(words_.data() + slot.place + 7);  // where it is longer than a line, or crosses its end
    }
    for (std::size_t i = 0; i < n; ++i) {
      codes[first + static_cast<Index>(i)] = code_of(texts[i], shapes[i], tags[i]);
    }
  }
}

Code TextTable::code_of(const TextView& text, std::uint64_t shape, std::uint32_t tag) {
  for (std::size_t at = first_slot(tag);; at = (at + 1) & (slots_.size() - 1)) {
    Slot& slot = slots_[at];
    if (slot.place == 0) {
      append(text, shape, slot, tag);
      const auto code = static_cast<Code>(size_ - 1);
      if (2 * size_ > slots_.size()) grow();
      return code;
    }
    if (slot.tag != tag) continue;
    const TextRecord* const record = record_at(slot.place);
    if (record->shape == shape &&
        equal_bytes(record->bytes(), static_cast<const unsigned char*>(text.data), record->size_bytes())) {
      return static_cast<Code>(record->code);
    }
  }
}

void TextTable::append(const TextView& text, std::uint64_t shape, Slot& slot, std::uint32_t tag) {
  const auto size = static_cast<std::size_t>(text.length) * static_cast<std::size_t>(text.unit_bytes);
  const std::size_t place = words_.size(), n_words = kRecordWords + (size + 7) / 8;
  require(place <= std::numeric_limits<std::uint32_t>::max() && size_ < static_cast<std::size_t>(kMaxCodes - 1),
          "the distinct string ids are too many or too long: there are ", size_, " of them already");
  words_.resize(place + n_words);
  const TextRecord record{shape, size_++};
  std::memcpy(words_.data() + place, &record, sizeof record);
  if (size > 0) std::memcpy(words_.data() + place + kRecordWords, text.data, size);
  slot = {tag, static_cast<std::uint32_t>(place)};
}

void TextTable::grow() {
  require(shift_ > 0, "there are too many distinct string ids: ", size_);
  std::vector<Slot> old(2 * slots_.size());
  old.swap(slots_);
  --shift_;
  for (const Slot& slot : old) {
    if (slot.place == 0) continue;
    std::size_t at = first_slot(slot.tag);
    while (slots_[at].place != 0) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = slot;
  }
}

std::vector<Distinct<TextKey>> TextTable::distinct(Index part) const {
  std::vector<Distinct<TextKey>> result;
  result.reserve(size_);
  for (std::size_t place = 1; place < words_.size();) {
    const TextRecord* const record = record_at(static_cast<std::uint32_t>(place));
    result.push_back({TextKey::of(record), static_cast<Code>(record->code), static_cast<Code>(part)});
    place += kRecordWords + (record->size_bytes() + 7) / 8;
  }
  return result;
}

}  // namespace matfac
