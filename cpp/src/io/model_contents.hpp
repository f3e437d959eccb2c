#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>

#include "matfac/model_file.hpp"

namespace matfac {

/// A model file in memory, as views. The checks are separate steps, so that a file can be opened without being
/// read. Every function throws InvalidArgument, saying what was expected and found.
struct ModelContents {
  std::variant<ModelView<float>, ModelView<double>> model;
  ModelRecord record;
  Index seen_nnz = 0;  ///< entries of `record.seen.items`

  std::string library_version;        ///< of the program that wrote the file
  std::string checksum_text;          ///< as written in the file
  std::uint64_t checksum = 0;         ///< its number
  std::size_t checksum_position = 0;  ///< where its digits begin in the file
};

/// Reads the header and nothing else: the format, its version, names, types, shapes and places of all tensors.
/// `file` begins at a multiple of 8.
ModelContents read_contents(std::span<const std::byte> file);

/// The parts of a record that have integers by which other memory is addressed: offsets of string ids, the pattern.
enum class IndexedPart { user_ids, item_ids, seen };
inline constexpr IndexedPart kIndexedParts[] = {IndexedPart::user_ids, IndexedPart::item_ids, IndexedPart::seen};

/// Those integers. Only after this may the part be given away. O(n_users), O(n_items) or O(n_users + nnz); nothing to
/// read when ids are integers or no pattern is stored.
void check_indices(const ModelContents& contents, IndexedPart part);

/// All parts.
void check_indices(const ModelContents& contents);

/// Every byte of the file against the checksum. Needs nothing but the header.
void check_bytes(const ModelContents& contents, std::span<const std::byte> file);

/// Every value that nothing is addressed by: finite parameters, ascending ids, UTF-8. After `check_indices`.
void check_values(const ModelContents& contents);

}  // namespace matfac
