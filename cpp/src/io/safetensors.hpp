#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// The safetensors container: 8 bytes with the length of a JSON header (little-endian), the header, the tensors' bytes
/// without gaps. Knows nothing of models. https://github.com/huggingface/safetensors
namespace matfac::safetensors {

/// The limit of the public library.
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::size_t kLengthBytes = 8;

/// Bytes of one element, or 0 for a type that this library has no use for.
std::size_t element_size(std::string_view dtype);

struct Tensor {
  std::string dtype;  ///< "F64", "F32", "I64", "I32" or "U8"
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;  ///< product of the shape x element size, contiguous, row-major
};

struct MetadataValue {
  std::string text;
  std::size_t position = 0;  ///< of the characters between the quotes, from the start of the file
  std::size_t size = 0;      ///< of these characters; more than `text.size()` when there are escapes
};

/// A tensor as the header claims it.
struct TensorEntry {
  std::string name, dtype;
  std::vector<std::int64_t> shape;
  std::int64_t begin = 0, end = 0;  ///< within the data section
};

/// What the header says, before anything of it is believed.
struct ParsedHeader {
  std::map<std::string, MetadataValue, std::less<>> metadata;
  std::vector<TensorEntry> tensors;
  std::size_t data_begin = 0;  ///< where the data section begins in the file
};

/// Reads the header of a whole file. Its length is compared with the file's size before it is used, and memory never
/// exceeds a small multiple of it. Throws InvalidArgument, saying what was expected and found.
ParsedHeader parse_header(std::span<const std::byte> file);

using Tensors = std::map<std::string, Tensor, std::less<>>;

/// The tensors as views into `file`, which are not touched. Throws InvalidArgument unless they fill the data section
/// from its first to its last byte without overlaps, agree with their shapes, and each begins at a multiple of its
/// element size (`file` itself begins at a multiple of 8).
Tensors locate_tensors(const ParsedHeader& header, std::span<const std::byte> file);

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

struct Header {
  std::string bytes;                ///< the length and the JSON, padded with spaces
  std::size_t marked_position = 0;  ///< where the characters of the marked metadata value begin
};

/// The header of a file with these tensors in this order. It is padded so that `aligned_tensor` begins at a multiple of
/// 64 bytes, and with it every tensor at a multiple of its element size if they come in descending order of that size.
/// Throws InvalidArgument when the header is longer than readers accept. All strings are valid UTF-8.
Header make_header(const std::map<std::string, std::string>& metadata, std::string_view marked_key,
                   std::span<const NamedTensor> tensors, std::string_view aligned_tensor);

}  // namespace matfac::safetensors
