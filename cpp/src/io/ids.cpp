#include "io/ids.hpp"

#include <algorithm>

#include "core/message.hpp"
#include "core/utf8.hpp"

namespace matfac {
namespace {

std::string_view string_id(const IdsView& ids, Index code) {
  const Index begin = ids.offsets[static_cast<std::size_t>(code)];
  const Index end = ids.offsets[static_cast<std::size_t>(code) + 1];
  return {ids.text.data() + begin, static_cast<std::size_t>(end - begin)};
}

constexpr const char* kRemedy = ": sort the ids (strings byte by byte), each once, and the rows with them";

}  // namespace

Index IdsView::size() const {
  if (kind == Kind::integers) return static_cast<Index>(integers.size());
  return offsets.empty() ? 0 : static_cast<Index>(offsets.size()) - 1;
}

Code IdsView::find(std::int64_t id) const {
  if (kind != Kind::integers) return -1;
  const auto at = std::lower_bound(integers.begin(), integers.end(), id);
  return at != integers.end() && *at == id ? static_cast<Code>(at - integers.begin()) : -1;
}

Code IdsView::find(std::string_view id) const {
  if (kind != Kind::strings) return -1;
  Index low = 0, high = size();
  while (low < high) {
    const Index middle = low + (high - low) / 2;
    if (string_id(*this, middle) < id) {  // char_traits compares bytes as unsigned
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < size() && string_id(*this, low) == id ? static_cast<Code>(low) : -1;
}

void check_id_offsets(std::string_view name, const IdsView& ids) {
  if (ids.kind != IdsView::Kind::strings) return;
  require(!ids.offsets.empty(), name, ".offsets is empty, expected one entry more than there are ids");
  require(ids.offsets.front() == 0, name, ".offsets must begin with 0, not ", ids.offsets.front());
  for (std::size_t i = 1; i < ids.offsets.size(); ++i) {
    require(ids.offsets[i] >= ids.offsets[i - 1], name, ".offsets must never fall, but entry ", i, " is ",
            ids.offsets[i], " after ", ids.offsets[i - 1]);
  }
  require(ids.offsets.back() == static_cast<Index>(ids.text.size()), name, ".offsets must end with the length of the ",
          "text, ", ids.text.size(), ", not ", ids.offsets.back());
}

void check_ids(std::string_view name, const IdsView& ids) {
  if (ids.kind == IdsView::Kind::integers) {
    for (std::size_t i = 1; i < ids.integers.size(); ++i) {
      require(ids.integers[i] > ids.integers[i - 1], name, " must be strictly ascending, but ", name, "[", i,
              "] = ", ids.integers[i], " comes after ", ids.integers[i - 1], kRemedy);
    }
    return;
  }
  for (Index i = 0; i < ids.size(); ++i) {
    const std::string_view id = string_id(ids, i);
    require(valid_utf8_prefix(id) == id.size(), name, "[", i, "] is not valid UTF-8: encode the ids as UTF-8");
    require(id.empty() || id.back() != '\0', name, "[", i, "] ends with a null character, which NumPy drops");
    if (i == 0 || string_id(ids, i - 1) < id) continue;
    throw InvalidArgument(message(name, " must be strictly ascending, but ", name, "[", i, "] = \"", shown(id),
                                  "\" does not come after the one before it", kRemedy));
  }
}

}  // namespace matfac
