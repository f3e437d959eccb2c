#pragma once

#include <algorithm>
#include <array>
#include <string_view>
#include <type_traits>

/// The words of the model file, format version 1. docs/file-format.md is normative.
namespace matfac::model_format {

constexpr std::string_view kFormat = "matfac";
constexpr int kVersion = 1;  ///< written; every version from 1 to this one is read

// Tensors. Ids are either integers (`user_ids`) or strings (`user_ids.text` and `user_ids.offsets`).
constexpr std::string_view kUserFactors = "user_factors";
constexpr std::string_view kItemFactors = "item_factors";
constexpr std::string_view kUserBiases = "user_biases";
constexpr std::string_view kItemBiases = "item_biases";
constexpr std::string_view kUserIds = "user_ids";
constexpr std::string_view kItemIds = "item_ids";
constexpr std::string_view kTextSuffix = ".text";
constexpr std::string_view kOffsetsSuffix = ".offsets";
constexpr std::string_view kSeenOffsets = "seen.offsets";
constexpr std::string_view kSeenItems = "seen.items";

// Metadata that the format itself writes; all other keys belong to the caller.
constexpr std::string_view kFormatKey = "format";
constexpr std::string_view kVersionKey = "format_version";
constexpr std::string_view kLibraryVersionKey = "library_version";
constexpr std::string_view kUsersKey = "n_users";
constexpr std::string_view kItemsKey = "n_items";
constexpr std::string_view kFactorsKey = "n_factors";
constexpr std::string_view kDtypeKey = "dtype";
constexpr std::string_view kMeanKey = "global_mean";
constexpr std::string_view kChecksumKey = "checksum";
constexpr std::array kReservedKeys{kFormatKey,  kVersionKey, kLibraryVersionKey, kUsersKey,   kItemsKey,
                                   kFactorsKey, kDtypeKey,   kMeanKey,           kChecksumKey};

/// The seed is called as in Python, whose files were here first.
constexpr const char* kSeedEntry = "random_state";

/// The value is this, then 16 digits. These digits count as zeros in the sum over the file.
constexpr std::string_view kChecksumPrefix = "xxh64:";
constexpr std::string_view kChecksumZeros = "0000000000000000";

inline bool is_reserved(std::string_view key) {
  return std::find(kReservedKeys.begin(), kReservedKeys.end(), key) != kReservedKeys.end();
}

/// Of the parameters: the container's name and ours.
template <class T>
constexpr std::string_view kTensorDtype = std::is_same_v<T, double> ? "F64" : "F32";
template <class T>
constexpr std::string_view kDtypeName = std::is_same_v<T, double> ? "float64" : "float32";

}  // namespace matfac::model_format
