#include "io/model_contents.hpp"

#include <optional>
#include <type_traits>

#include "core/message.hpp"
#include "core/utf8.hpp"
#include "core/validate.hpp"
#include "io/checksum.hpp"
#include "io/hex_float.hpp"
#include "io/ids.hpp"
#include "io/model_format.hpp"
#include "io/safetensors.hpp"
#include "model/check.hpp"

namespace matfac {
namespace {

namespace format = model_format;
using safetensors::ParsedHeader;
using safetensors::Tensor;
using safetensors::Tensors;

const safetensors::MetadataValue& entry(const ParsedHeader& header, std::string_view key) {
  const auto found = header.metadata.find(key);
  require(found != header.metadata.end(), "not a matfac model: its metadata have no \"", key, '"');
  return found->second;
}

// A decimal number without sign or leading zeros, at most 18 digits.
std::optional<Index> parse_decimal(std::string_view text) {
  constexpr std::size_t kMaxDigits = 18;
  if (text.empty() || text.size() > kMaxDigits || (text[0] == '0' && text.size() > 1)) return std::nullopt;
  Index value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

Index decimal(const ParsedHeader& header, std::string_view key, Index low, Index high) {
  const std::string& text = entry(header, key).text;
  const std::optional<Index> value = parse_decimal(text);
  require(value && *value >= low && *value <= high, "metadata \"", key, "\" is \"", shown(text),
          "\", expected an integer in [", low, ", ", high, "]");
  return *value;
}

// Before everything that a later version might do differently.
void check_format(const ParsedHeader& header) {
  const std::string& name = entry(header, format::kFormatKey).text;
  require(name == format::kFormat, "not a matfac model: its format is \"", shown(name), "\", expected \"",
          format::kFormat, '"');
  const std::string& text = entry(header, format::kVersionKey).text;
  const std::optional<Index> version = parse_decimal(text);
  require(version && *version >= 1, "metadata \"", format::kVersionKey, "\" is \"", shown(text),
          "\", expected a number from 1");
  const auto library = header.metadata.find(format::kLibraryVersionKey);
  require(*version <= format::kVersion, "the file has format version ", *version,
          " and was written by a newer matfac (",
          library == header.metadata.end() ? "of unknown version" : shown(library->second.text),
          "); this one reads versions up to ", format::kVersion, ": update matfac");
}

void read_checksum(const ParsedHeader& header, ModelContents& contents) {
  const safetensors::MetadataValue& value = entry(header, format::kChecksumKey);
  const std::string_view text = value.text;
  const std::size_t prefix = format::kChecksumPrefix.size();
  std::uint64_t sum = 0;
  bool well_formed = value.size == text.size() && text.size() == prefix + format::kChecksumZeros.size() &&
                     text.substr(0, prefix) == format::kChecksumPrefix;
  for (std::size_t i = prefix; well_formed && i < text.size(); ++i) {
    const std::size_t digit = std::string_view("0123456789abcdef").find(text[i]);
    well_formed = digit != std::string_view::npos;
    sum = sum << 4 | (digit & 15);
  }
  require(well_formed, "metadata \"", format::kChecksumKey, "\" is \"", shown(text), "\", expected \"",
          format::kChecksumPrefix, "\" and 16 hexadecimal digits");
  contents.checksum_text = text;
  contents.checksum = sum;
  contents.checksum_position = value.position + prefix;
}

/// Hands out the tensors of a file by name, type and shape. -1 in a shape stands for any length.
class TensorSource {
 public:
  explicit TensorSource(Tensors tensors) : tensors_(std::move(tensors)) {}

  bool has(std::string_view name) const { return tensors_.find(name) != tensors_.end(); }

  template <class T>
  std::span<const T> take(std::string_view name, std::string_view dtype, const std::vector<Index>& shape) {
    const auto found = tensors_.find(name);
    require(found != tensors_.end(), "tensor '", name, "' is missing");
    const Tensor tensor = std::move(found->second);
    tensors_.erase(found);
    require(tensor.dtype == dtype, "tensor '", name, "' has dtype ", tensor.dtype, ", expected ", dtype);
    require(fits(tensor.shape, shape), "tensor '", name, "' has shape ", text(tensor.shape), ", expected ", text(shape),
            shape.size() == 2 ? " (rows x n_factors)" : "");
    return {reinterpret_cast<const T*>(tensor.bytes.data()), tensor.bytes.size() / sizeof(T)};
  }

  void check_exhausted() const {
    if (tensors_.empty()) return;
    require(false, "tensor '", shown(tensors_.begin()->first), "' has no place in format version ", format::kVersion);
  }

 private:
  static bool fits(const std::vector<Index>& found, const std::vector<Index>& expected) {
    if (found.size() != expected.size()) return false;
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (expected[i] != -1 && found[i] != expected[i]) return false;
    }
    return true;
  }

  static std::string text(const std::vector<Index>& shape) {
    std::string result = "[";
    for (const Index n : shape) result += (result.size() > 1 ? ", " : "") + (n == -1 ? "any" : std::to_string(n));
    return result + "]";
  }

  Tensors tensors_;
};

IdsView read_ids(TensorSource& source, std::string_view name, Index rows) {
  const std::string text = message(name, format::kTextSuffix), offsets = message(name, format::kOffsetsSuffix);
  IdsView ids;
  if (source.has(name)) {
    require(!source.has(text) && !source.has(offsets), "tensor '", name, "' stands beside '", text, "' or '", offsets,
            "', expected integers or strings, not both");
    ids.integers = source.take<std::int64_t>(name, "I64", {rows});
  } else {
    require(source.has(offsets), "tensors '", name, "' and '", offsets, "' are both missing, expected one of them");
    ids.kind = IdsView::Kind::strings;
    ids.offsets = source.take<Index>(offsets, "I64", {rows + 1});
    ids.text = source.take<char>(text, "U8", {-1});
  }
  return ids;
}

template <class T>
ModelView<T> read_model(TensorSource& source, Index n_users, Index n_items, Index n_factors) {
  const std::string_view dtype = format::kTensorDtype<T>;
  ModelView<T> model;
  model.user_factors = {source.take<T>(format::kUserFactors, dtype, {n_users, n_factors}).data(), n_users, n_factors};
  model.item_factors = {source.take<T>(format::kItemFactors, dtype, {n_items, n_factors}).data(), n_items, n_factors};
  if (source.has(format::kUserBiases)) model.user_biases = source.take<T>(format::kUserBiases, dtype, {n_users});
  if (source.has(format::kItemBiases)) model.item_biases = source.take<T>(format::kItemBiases, dtype, {n_items});
  return model;
}

void read_seen(TensorSource& source, Index n_users, Index n_items, ModelContents& contents) {
  if (!source.has(format::kSeenOffsets) && !source.has(format::kSeenItems)) return;
  const auto offsets = source.take<Index>(format::kSeenOffsets, "I64", {n_users + 1});
  const auto items = source.take<Code>(format::kSeenItems, "I32", {-1});
  contents.record.seen = {n_users, n_items, offsets.data(), items.data()};
  contents.seen_nnz = static_cast<Index>(items.size());
}

double read_mean(const ParsedHeader& header) {
  const std::string& text = entry(header, format::kMeanKey).text;
  const std::optional<double> mean = parse_hex_float(text);
  require(mean.has_value(), "metadata \"", format::kMeanKey, "\" is \"", shown(text),
          "\", expected a finite number in the form of -0x1.8000000000000p+1");
  return *mean;
}

void check_seen(const PatternView& seen, Index nnz) {
  if (seen.n_users == 0) return;
  // `validate` follows the offsets up to the last one: that one must be right before the call.
  require(seen.offsets[seen.n_users] == nnz, format::kSeenOffsets, " must end with the length of '", format::kSeenItems,
          "', ", nnz, ", not ", seen.offsets[seen.n_users]);
  try {
    validate(seen, 1);
  } catch (const InvalidArgument& error) {
    throw InvalidArgument(message("seen pattern: ", error.what()));
  }
}

}  // namespace

ModelContents read_contents(std::span<const std::byte> file) {
  const ParsedHeader header = safetensors::parse_header(file);
  check_format(header);
  ModelContents contents;
  contents.library_version = entry(header, format::kLibraryVersionKey).text;
  read_checksum(header, contents);
  const Index n_users = decimal(header, format::kUsersKey, 0, kMaxCodes - 1);
  const Index n_items = decimal(header, format::kItemsKey, 0, kMaxCodes - 1);
  const Index n_factors = decimal(header, format::kFactorsKey, 1, kMaxCodes - 1);
  const std::string& dtype = entry(header, format::kDtypeKey).text;
  const bool is_double = dtype == format::kDtypeName<double>;
  require(is_double || dtype == format::kDtypeName<float>, "metadata \"", format::kDtypeKey, "\" is \"", shown(dtype),
          "\", expected \"float32\" or \"float64\"");

  TensorSource source(safetensors::locate_tensors(header, file));
  if (is_double) {
    contents.model = read_model<double>(source, n_users, n_items, n_factors);
  } else {
    contents.model = read_model<float>(source, n_users, n_items, n_factors);
  }
  std::visit([&](auto& model) { model.global_mean = read_mean(header); }, contents.model);
  contents.record.user_ids = read_ids(source, format::kUserIds, n_users);
  contents.record.item_ids = read_ids(source, format::kItemIds, n_items);
  read_seen(source, n_users, n_items, contents);
  source.check_exhausted();
  std::visit([](const auto& model) { require_consistent(model); }, contents.model);
  for (const auto& [key, value] : header.metadata) {
    if (!format::is_reserved(key)) contents.record.metadata[key] = value.text;
  }
  return contents;
}

void check_bytes(const ModelContents& contents, std::span<const std::byte> file) {
  const std::string_view zeros = format::kChecksumZeros;
  Xxh64 checksum;
  checksum.update(file.first(contents.checksum_position));
  checksum.update(std::as_bytes(std::span(zeros)));
  checksum.update(file.subspan(contents.checksum_position + zeros.size()));
  require(checksum.digest() == contents.checksum, "the file has been altered: its checksum says ",
          hex_digits(contents.checksum), ", its bytes give ", hex_digits(checksum.digest()),
          "; fetch or save it again (a file rewritten by another program has a stale checksum)");
}

void check_indices(const ModelContents& contents, IndexedPart part) {
  const ModelRecord& record = contents.record;
  switch (part) {
    case IndexedPart::user_ids: return check_id_offsets(format::kUserIds, record.user_ids);
    case IndexedPart::item_ids: return check_id_offsets(format::kItemIds, record.item_ids);
    case IndexedPart::seen: return check_seen(record.seen, contents.seen_nnz);
  }
}

void check_indices(const ModelContents& contents) {
  for (const IndexedPart part : kIndexedParts) check_indices(contents, part);
}

void check_values(const ModelContents& contents) {
  check_ids(format::kUserIds, contents.record.user_ids);
  check_ids(format::kItemIds, contents.record.item_ids);
  std::visit([](const auto& model) { validate(model); }, contents.model);
}

}  // namespace matfac
