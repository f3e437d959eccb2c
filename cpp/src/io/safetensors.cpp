#include "io/safetensors.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/message.hpp"
#include "core/utf8.hpp"
#include "io/json.hpp"

namespace matfac::safetensors {
namespace {

constexpr std::size_t kAlignment = 64;  // a cache line, and the widest vector register
constexpr std::size_t kMaxDimensions = 8;
constexpr std::string_view kMetadataKey = "__metadata__";

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t n : shape) text += message(text.size() > 1 ? ", " : "", n);
  return text + "]";
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The header's text. Its length is a claim of the file: compared with the file's size before anything is done with it.
std::string_view header_text(std::span<const std::byte> file) {
  require(file.size() >= kLengthBytes, "not a safetensors file, or truncated: it has ", file.size(),
          " bytes, expected at least ", kLengthBytes);
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  const std::uint64_t available = file.size() - kLengthBytes;
  require(length <= kMaxHeaderBytes, "not a safetensors file: the header claims ", length, " bytes, expected at most ",
          kMaxHeaderBytes);
  require(length <= available, "truncated, or not a safetensors file: the header claims ", length, " bytes, only ",
          available, " follow");
  const std::string_view text = text_of(file.subspan(kLengthBytes, length));
  require(text.substr(0, 1) == "{", "not a safetensors file: the header does not begin with '{'");
  return text;
}

TensorEntry parse_tensor(JsonReader& json, const std::string& name) {
  TensorEntry entry;
  entry.name = name;
  bool has_dtype = false, has_shape = false, has_offsets = false;
  std::vector<std::int64_t> offsets;
  json.object([&](const JsonReader::String& key) {
    if (key.text == "dtype") {
      entry.dtype = json.string().text;
      has_dtype = true;
    } else if (key.text == "shape") {
      json.array([&] {
        if (entry.shape.size() == kMaxDimensions) json.fail("a shape has too many dimensions");
        entry.shape.push_back(json.integer());
      });
      has_shape = true;
    } else if (key.text == "data_offsets") {
      json.array([&] { offsets.push_back(json.integer()); });
      has_offsets = true;
    } else {
      json.fail(message("tensor '", shown(name), "' has an unknown entry \"", shown(key.text), '"'));
    }
  });
  if (!has_dtype || !has_shape || !has_offsets) {
    json.fail(message("tensor '", shown(name), "' must have a dtype, a shape and data_offsets"));
  }
  if (offsets.size() != 2) json.fail(message("tensor '", shown(name), "' must have two data_offsets"));
  entry.begin = offsets[0];
  entry.end = offsets[1];
  return entry;
}

void parse_metadata(JsonReader& json, ParsedHeader& header) {
  json.object([&](const JsonReader::String& key) {
    JsonReader::String value = json.string();
    header.metadata[key.text] = {std::move(value.text), kLengthBytes + value.begin, value.end - value.begin};
  });
}

// Product of the shape and the element size; refuses what does not fit 63 bits.
std::int64_t byte_size(const TensorEntry& entry) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  if (std::find(entry.shape.begin(), entry.shape.end(), 0) != entry.shape.end()) return 0;
  auto size = static_cast<std::int64_t>(element_size(entry.dtype));
  for (const std::int64_t n : entry.shape) {
    require(size <= kMax / n, "tensor '", shown(entry.name), "' of shape ", shape_text(entry.shape),
            " exceeds 2^63 bytes");
    size *= n;
  }
  return size;
}

void check_tensor(const TensorEntry& entry, std::size_t data_begin, std::int64_t data_size) {
  const std::size_t element = element_size(entry.dtype);
  require(element > 0, "tensor '", shown(entry.name), "' has dtype '", shown(entry.dtype),
          "', expected F64, F32, I64, I32 or U8");
  require(entry.begin <= entry.end, "tensor '", shown(entry.name), "' ends at ", entry.end, ", before its begin at ",
          entry.begin);
  const std::int64_t size = byte_size(entry);
  require(entry.end - entry.begin == size, "tensor '", shown(entry.name), "' of shape ", shape_text(entry.shape),
          " and dtype ", entry.dtype, " needs ", size, " bytes, its data_offsets hold ", entry.end - entry.begin);
  require(entry.end <= data_size, "truncated: tensor '", shown(entry.name), "' ends at byte ", entry.end,
          " of the data section, which has only ", data_size);
  const std::size_t position = data_begin + static_cast<std::size_t>(entry.begin);
  require(position % element == 0, "tensor '", shown(entry.name), "' begins at byte ", position,
          " of the file, expected a multiple of its element size ", element, ": it cannot be mapped");
}

// The public format demands it too: every byte of the data section belongs to exactly one tensor.
void check_contiguous(std::vector<TensorEntry> entries, std::int64_t data_size) {
  std::sort(entries.begin(), entries.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  std::int64_t covered = 0;
  for (const TensorEntry& entry : entries) {
    require(entry.begin >= covered, "tensor '", shown(entry.name), "' begins at byte ", entry.begin,
            " of the data section and overlaps another that ends at ", covered);
    require(entry.begin <= covered, "tensor '", shown(entry.name), "' begins at byte ", entry.begin,
            " of the data section, expected ", covered, ": tensors must not leave gaps");
    covered = entry.end;
  }
  require(covered == data_size, "the tensors end at byte ", covered, " of the data section, which has ", data_size,
          ": bytes follow that belong to no tensor");
}

// Numbers by `to_string`: a stream would follow the host's locale ("1.000").
void append_tensor(std::string& json, const NamedTensor& named, std::size_t begin) {
  append_json_string(json, named.name);
  json += ":{\"dtype\":\"" + named.tensor.dtype + "\",\"shape\":[";
  for (std::size_t i = 0; i < named.tensor.shape.size(); ++i) {
    if (i > 0) json += ',';
    json += std::to_string(named.tensor.shape[i]);
  }
  const std::size_t end = begin + named.tensor.bytes.size();
  json += "],\"data_offsets\":[" + std::to_string(begin) + ',' + std::to_string(end) + "]}";
}

}  // namespace

std::size_t element_size(std::string_view dtype) {
  if (dtype == "F64" || dtype == "I64") return 8;
  if (dtype == "F32" || dtype == "I32") return 4;
  return dtype == "U8" ? 1 : 0;
}

ParsedHeader parse_header(std::span<const std::byte> file) {
  const std::string_view text = header_text(file);
  ParsedHeader header;
  JsonReader json(text);
  json.object([&](const JsonReader::String& key) {
    if (key.text == kMetadataKey) {
      parse_metadata(json, header);
    } else {
      header.tensors.push_back(parse_tensor(json, key.text));
    }
  });
  json.end();
  header.data_begin = kLengthBytes + text.size();
  return header;
}

Tensors locate_tensors(const ParsedHeader& header, std::span<const std::byte> file) {
  const std::span<const std::byte> data = file.subspan(header.data_begin);
  const auto data_size = static_cast<std::int64_t>(data.size());
  for (const TensorEntry& entry : header.tensors) check_tensor(entry, header.data_begin, data_size);
  check_contiguous(header.tensors, data_size);
  Tensors tensors;
  for (const TensorEntry& entry : header.tensors) {
    const auto begin = static_cast<std::size_t>(entry.begin);
    tensors[entry.name] = {entry.dtype, entry.shape, data.subspan(begin, static_cast<std::size_t>(entry.end) - begin)};
  }
  return tensors;
}

Header make_header(const std::map<std::string, std::string>& metadata, std::string_view marked_key,
                   std::span<const NamedTensor> tensors, std::string_view aligned_tensor) {
  Header header;
  std::string& json = header.bytes;
  json.assign(kLengthBytes, '\0');
  json += '{';
  append_json_string(json, kMetadataKey);
  json += ":{";
  for (bool first = true; const auto& [key, value] : metadata) {
    if (!first) json += ',';
    first = false;
    append_json_string(json, key);
    json += ':';
    if (key == marked_key) header.marked_position = json.size() + 1;
    append_json_string(json, value);
  }
  json += '}';
  std::size_t begin = 0, to_align = 0;
  for (const NamedTensor& named : tensors) {
    if (named.name == aligned_tensor) to_align = begin;
    json += ',';
    append_tensor(json, named, begin);
    begin += named.tensor.bytes.size();
  }
  json += '}';
  json.append((kAlignment - (json.size() + to_align) % kAlignment) % kAlignment, ' ');
  const std::uint64_t length = json.size() - kLengthBytes;
  require(length <= kMaxHeaderBytes, "the metadata make a header of ", length, " bytes, at most ", kMaxHeaderBytes,
          " are allowed: store less in the metadata");
  std::memcpy(json.data(), &length, kLengthBytes);
  return header;
}

}  // namespace matfac::safetensors
