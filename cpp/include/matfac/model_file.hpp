#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "matfac/export.hpp"
#include "matfac/fit.hpp"
#include "matfac/model.hpp"
#include "matfac/ratings.hpp"

/// The model file: one safetensors file, specified in docs/file-format.md.
namespace matfac {

/// Raw ids in the order of their codes, strictly ascending: integers, or UTF-8 strings (ascending byte by byte).
/// Somebody else owns the memory.
struct IdsView {
  enum class Kind { integers, strings };
  Kind kind = Kind::integers;
  std::span<const std::int64_t> integers;  ///< integers: one id per code
  std::span<const Index> offsets;          ///< strings: size() + 1 offsets into `text`
  std::span<const char> text;              ///< strings: all ids, one after the other

  MATFAC_API Index size() const;
  /// The code of a raw id, or -1. O(log size).
  MATFAC_API Code find(std::int64_t id) const;
  MATFAC_API Code find(std::string_view id) const;
};

/// All that a file holds beside the parameters.
struct ModelRecord {
  IdsView user_ids;                             ///< one per row of user_factors
  IdsView item_ids;                             ///< one per row of item_factors
  PatternView seen;                             ///< what each user rated in training; n_users = 0: not stored
  std::map<std::string, std::string> metadata;  ///< settings and provenance, as `metadata_of` gives them
};

/// What a fit used and found, as entries for `ModelRecord::metadata`: those that Python writes, so that the model lives
/// on there, and that `ModelFile::settings` reads. Labels were 0 and 1; for -1 and 1 add {"classes_", "[-1, 1]"}.
MATFAC_API std::map<std::string, std::string> metadata_of(const FitReport& report);

/// Writes `path` atomically: a temporary file beside it, fsync, rename; an interrupted write leaves an earlier file
/// whole. Throws InvalidArgument (shapes, ids out of order, numbers that are not finite) before anything is written,
/// FileError when the system refuses.
template <class T>
MATFAC_API void save_model(const std::string& path, const ModelView<T>& model, const ModelRecord& record);

/// A model file mapped into memory: nothing is copied, and processes that map the same file share its pages.
/// The views live as long as this object (copies share the mapping). All members are const and thread-safe; of an
/// object that is empty or was moved from all throw InvalidArgument.
class MATFAC_API ModelFile {
 public:
  /// Throws FileError for a file that is missing, truncated, altered, hostile or of a later format.
  /// `verify_checksum` reads every byte once; without it opening takes the same time at any size.
  static ModelFile open(const std::string& path, bool verify_checksum = true);

  bool is_double() const;  ///< the type of the parameters: double (F64) or float (F32)
  /// The parameters; throws InvalidArgument when T is not the type in the file.
  template <class T>
  ModelView<T> model() const;
  /// What stands beside the parameters. Without `verify_checksum` the first call checks the offsets of string ids and
  /// the training pattern, in O(n_users + n_items + nnz), and throws FileError where they would lead out of the file.
  const ModelRecord& record() const;
  /// Its parts, each alone: what is not asked for is not read, and nothing at all for `metadata` and integer ids.
  const IdsView& user_ids() const;
  const IdsView& item_ids() const;
  const PatternView& seen() const;
  const std::map<std::string, std::string>& metadata() const;
  /// The settings of the fit with what it chose itself, fit for `fold_in`; those that are not in the file have their
  /// defaults. Throws FileError, naming the entry and the rule, for one that no fit has written: the same entries for
  /// which Python's `load` refuses the file.
  Settings settings() const;
  /// Where the file comes from: the version of the library that wrote it, and its checksum as it is written there
  /// ("xxh64:" and 16 digits), by which two files are told apart. Unverified without `verify_checksum`.
  const std::string& library_version() const;
  const std::string& checksum() const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace matfac
