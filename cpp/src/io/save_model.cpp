#include <algorithm>
#include <utility>

#include "core/utf8.hpp"
#include "core/validate.hpp"
#include "io/atomic_file.hpp"
#include "io/checksum.hpp"
#include "io/hex_float.hpp"
#include "io/ids.hpp"
#include "io/json.hpp"
#include "io/model_format.hpp"
#include "io/safetensors.hpp"
#include "matfac/model_file.hpp"
#include "matfac/version.hpp"

namespace matfac {
namespace {

namespace format = model_format;
using safetensors::NamedTensor;

void check_ids_of(std::string_view name, const IdsView& ids, Index rows) {
  check_id_offsets(name, ids);
  require(ids.size() == rows, name, " has ", ids.size(), " ids, expected ", rows, ", one for each row of the factors");
  check_ids(name, ids);
}

void check_seen(const PatternView& seen, Index n_users, Index n_items) {
  if (seen.n_users == 0) return;
  require(seen.n_users == n_users && seen.n_items == n_items, "seen has ", seen.n_users, " users and ", seen.n_items,
          " items, the model has ", n_users, " and ", n_items);
  require(seen.offsets != nullptr, "seen has no offsets");
  require(seen.nnz() == 0 || seen.items != nullptr, "seen has no items");  // before they are read
  validate(seen, 1);
}

void check_metadata(const std::map<std::string, std::string>& metadata) {
  constexpr std::size_t kMaxOwn = JsonReader::kMaxEntries - format::kReservedKeys.size();
  require(metadata.size() <= kMaxOwn, "metadata has ", metadata.size(), " entries, at most ", kMaxOwn, " are allowed");
  for (const auto& [key, value] : metadata) {
    require(valid_utf8_prefix(key) == key.size(), "a metadata key is not valid UTF-8");
    require(valid_utf8_prefix(value) == value.size(), "metadata[\"", key, "\"] is not valid UTF-8");
    require(!format::is_reserved(key), "the metadata key \"", key,
            "\" belongs to the file format, which writes it itself: leave it out or rename it");
  }
}

template <class T>
void check(const std::string& path, const ModelView<T>& model, const ModelRecord& record) {
  const Index n_users = model.user_factors.rows, n_items = model.item_factors.rows;
  require(path.find('\0') == std::string::npos, "the path holds a null character");
  require_counts(n_users, n_items);
  require(model.user_factors.cols >= 1 && model.user_factors.cols < kMaxCodes, "n_factors must be in [1, 2^31), not ",
          model.user_factors.cols);
  require_shape("user_factors", model.user_factors, n_users, model.user_factors.cols);
  require_shape("item_factors", model.item_factors, n_items, model.user_factors.cols);
  if (!model.user_biases.empty()) require_length("user_biases", model.user_biases, n_users);
  if (!model.item_biases.empty()) require_length("item_biases", model.item_biases, n_items);
  validate(model);
  check_ids_of(format::kUserIds, record.user_ids, n_users);
  check_ids_of(format::kItemIds, record.item_ids, n_items);
  check_seen(record.seen, n_users, n_items);
  check_metadata(record.metadata);
}

template <class T>
NamedTensor tensor(std::string_view name, std::string_view dtype, std::vector<Index> shape, std::span<const T> values) {
  return {std::string(name), {std::string(dtype), std::move(shape), std::as_bytes(values)}};
}

template <class T>
NamedTensor matrix_tensor(std::string_view name, const MatrixView<const T>& matrix) {
  return tensor(name, format::kTensorDtype<T>, {matrix.rows, matrix.cols},
                std::span(matrix.data, static_cast<std::size_t>(matrix.size())));
}

template <class T>
NamedTensor vector_tensor(std::string_view name, std::string_view dtype, std::span<const T> values) {
  return tensor(name, dtype, {static_cast<Index>(values.size())}, values);
}

NamedTensor wide_ids_tensor(std::string_view name, const IdsView& ids) {
  if (ids.kind == IdsView::Kind::integers) return vector_tensor(name, "I64", ids.integers);
  return vector_tensor(message(name, format::kOffsetsSuffix), "I64", ids.offsets);
}

// By descending element size, so that each lies at a multiple of its own; the order never depends on the values.
template <class T>
std::vector<NamedTensor> tensors_of(const ModelView<T>& model, const ModelRecord& record) {
  const PatternView& seen = record.seen;
  std::vector<NamedTensor> tensors;
  tensors.push_back(wide_ids_tensor(format::kUserIds, record.user_ids));
  tensors.push_back(wide_ids_tensor(format::kItemIds, record.item_ids));
  if (seen.n_users > 0) {
    const std::span offsets(seen.offsets, static_cast<std::size_t>(seen.n_users) + 1);
    tensors.push_back(vector_tensor(format::kSeenOffsets, "I64", offsets));
  }
  tensors.push_back(matrix_tensor(format::kUserFactors, model.user_factors));
  tensors.push_back(matrix_tensor(format::kItemFactors, model.item_factors));
  if (!model.user_biases.empty()) {
    tensors.push_back(vector_tensor(format::kUserBiases, format::kTensorDtype<T>, model.user_biases));
  }
  if (!model.item_biases.empty()) {
    tensors.push_back(vector_tensor(format::kItemBiases, format::kTensorDtype<T>, model.item_biases));
  }
  if (seen.n_users > 0) {
    const std::span items(seen.items, static_cast<std::size_t>(seen.nnz()));
    tensors.push_back(vector_tensor(format::kSeenItems, "I32", items));
  }
  const auto add_text = [&](std::string_view name, const IdsView& ids) {
    if (ids.kind == IdsView::Kind::integers) return;
    tensors.push_back(vector_tensor(message(name, format::kTextSuffix), "U8", ids.text));
  };
  add_text(format::kUserIds, record.user_ids);
  add_text(format::kItemIds, record.item_ids);
  return tensors;
}

template <class T>
std::map<std::string, std::string> metadata_of(const ModelView<T>& model, const ModelRecord& record) {
  std::map<std::string, std::string> metadata = record.metadata;
  const auto set = [&](std::string_view key, std::string value) { metadata[std::string(key)] = std::move(value); };
  set(format::kFormatKey, std::string(format::kFormat));
  set(format::kVersionKey, std::to_string(format::kVersion));
  set(format::kLibraryVersionKey, MATFAC_VERSION);
  set(format::kUsersKey, std::to_string(model.user_factors.rows));
  set(format::kItemsKey, std::to_string(model.item_factors.rows));
  set(format::kFactorsKey, std::to_string(model.user_factors.cols));
  set(format::kDtypeKey, std::string(format::kDtypeName<T>));
  set(format::kMeanKey, hex_float(model.global_mean));
  set(format::kChecksumKey, message(format::kChecksumPrefix, format::kChecksumZeros));
  return metadata;
}

// Summed and written piece by piece: each piece is still in the cache when it is written.
void append_summed(FileSink& sink, Xxh64& checksum, std::span<const std::byte> bytes) {
  constexpr std::size_t kPiece = std::size_t{1} << 20;
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(kPiece, bytes.size()));
    checksum.update(piece);
    sink.append(piece);
    bytes = bytes.subspan(piece.size());
  }
}

}  // namespace

template <class T>
void save_model(const std::string& path, const ModelView<T>& model, const ModelRecord& record) {
  check(path, model, record);
  const std::vector<NamedTensor> tensors = tensors_of(model, record);
  const safetensors::Header header = make_header(metadata_of(model, record), format::kChecksumKey, tensors,
                                                 format::kUserFactors);
  write_atomically(path, [&](FileSink& sink) {
    Xxh64 checksum;
    append_summed(sink, checksum, std::as_bytes(std::span(header.bytes)));
    for (const NamedTensor& named : tensors) append_summed(sink, checksum, named.tensor.bytes);
    const std::string digits = hex_digits(checksum.digest());
    sink.overwrite(header.marked_position + format::kChecksumPrefix.size(), std::as_bytes(std::span(digits)));
  });
}

template MATFAC_API void save_model(const std::string&, const ModelView<float>&, const ModelRecord&);
template MATFAC_API void save_model(const std::string&, const ModelView<double>&, const ModelRecord&);

}  // namespace matfac
