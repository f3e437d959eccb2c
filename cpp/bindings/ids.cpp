#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "arrays.hpp"
#include "arrow.hpp"
#include "bindings.hpp"
#include "matfac/encode.hpp"
#include "matfac/error.hpp"

namespace matfac::bindings {
namespace {

using namespace py::literals;

template <class Int>
py::tuple encode_integers_of(const Array<Int>& ids, int n_threads) {
  const auto view = vector(ids, "ids");
  Array<Code> codes(ids.size());
  const std::span<Code> out = mutable_vector(codes, "codes");
  std::vector<std::int64_t> unique;
  {
    const py::gil_scoped_release release;
    unique = encode_integers<Int>(view, out, n_threads);
  }
  return py::make_tuple(take(std::move(unique)), std::move(codes));
}

Array<Code> lookup_integers_of(const Array<std::int64_t>& known, const Array<std::int64_t>& query, int n_threads) {
  const auto sorted = vector(known, "known"), asked = vector(query, "query");
  Array<Code> codes(query.size());
  const std::span<Code> out = mutable_vector(codes, "codes");
  const py::gil_scoped_release release;
  lookup_integers(sorted, asked, out, n_threads);
  return codes;
}

/// The distinct strings as a NumPy array of fixed width, and the codes; None if strings are refused.
py::object texts_and_codes(TextEncoder& encoder, Array<Code>&& codes) {
  const std::span<Code> out = mutable_vector(codes, "codes");
  UniqueTexts unique;
  {
    const py::gil_scoped_release release;
    unique = encoder.finish(out);
  }
  if (unique.refused) return py::none();
  const auto dtype = py::dtype::from_args(py::str("U" + std::to_string(unique.width)));
  auto* const owner = new std::vector<char32_t>(std::move(unique.characters));
  const py::capsule free(owner, [](void* p) { delete static_cast<std::vector<char32_t>*>(p); });
  return py::make_tuple(py::array(dtype, {unique.count}, {}, owner->data(), free), std::move(codes));
}

// ---- NumPy's strings of fixed width: rows of UCS-4, filled up with NULs --------------------------

struct FixedWidth {
  const char32_t* data;
  Index width;
};

void read_fixed_width(const void* source, Index begin, Index end, TextView* out) {
  const auto& column = *static_cast<const FixedWidth*>(source);
  for (Index i = begin; i < end; ++i, ++out) {
    const char32_t* const row = column.data + i * column.width;
    Index length = column.width;
    while (length > 0 && row[length - 1] == 0) --length;
    *out = {row, length, sizeof(char32_t)};
  }
}

py::object encode_fixed_width(const py::array& ids, Index max_length, int n_threads) {
  if (ids.dtype().kind() != 'U' || ids.ndim() != 1 || (ids.flags() & py::array::c_style) == 0) {
    throw py::type_error("ids must be a contiguous one-dimensional array of NumPy strings");
  }
  const FixedWidth column{static_cast<const char32_t*>(ids.data()),
                          static_cast<Index>(ids.itemsize()) / static_cast<Index>(sizeof(char32_t))};
  Array<Code> codes(ids.size());
  const std::span<Code> out = mutable_vector(codes, "codes");
  TextEncoder encoder(false, max_length, n_threads);
  {
    const py::gil_scoped_release release;
    encoder.add({ids.size(), &column, read_fixed_width}, out);
  }
  return texts_and_codes(encoder, std::move(codes));
}

// ---- Python's strings, read where they lie -------------------------------------------------------

/// Some object is no string.
struct NoString {};

// This thread holds the lock of the interpreter, so that no object changes; others only look at the memory.
void read_objects(const void* source, Index begin, Index end, TextView* out) {
  PyObject* const* const objects = static_cast<PyObject* const*>(source) + begin;
  const Index n = end - begin;
  // The objects lie anywhere: all are asked for before the first is looked at. A short string is in its second line.
  for (Index i = 0; i < n; ++i) {
    __builtin_prefetch(objects[i]);
    __builtin_prefetch(reinterpret_cast<const char*>(objects[i]) + 56);
  }
  for (Index i = 0; i < n; ++i) {
    PyObject* const object = objects[i];
    if (object == nullptr || !PyUnicode_Check(object)) throw NoString();
#if PY_VERSION_HEX < 0x030C0000
    if (!PyUnicode_IS_READY(object)) throw NoString();
#endif
    out[i] = {PyUnicode_DATA(object), PyUnicode_GET_LENGTH(object), static_cast<int>(PyUnicode_KIND(object))};
  }
}

/// The objects of a list or of a contiguous array of objects, where they are now.
std::span<PyObject* const> objects_of(const py::object& ids) {
  if (PyList_Check(ids.ptr())) {
    auto* const list = reinterpret_cast<PyListObject*>(ids.ptr());
    return {list->ob_item, static_cast<std::size_t>(PyList_GET_SIZE(ids.ptr()))};
  }
  const auto array = py::reinterpret_borrow<py::array>(ids);
  return {static_cast<PyObject* const*>(array.data()), static_cast<std::size_t>(array.size())};
}

py::object encode_objects(const py::object& ids, Index max_length, int n_threads) {
  if (!PyList_Check(ids.ptr())) {
    const bool is_array = py::isinstance<py::array>(ids);
    const auto array = is_array ? py::reinterpret_borrow<py::array>(ids) : py::array();
    if (!is_array || array.dtype().kind() != 'O' || array.ndim() != 1 || (array.flags() & py::array::c_style) == 0) {
      throw py::type_error("ids must be a list or a contiguous one-dimensional array of objects");
    }
  }
  // The lock is held while strings are read, and given to others in between.
  constexpr std::size_t kChunk = std::size_t{1} << 20;
  const std::size_t n = objects_of(ids).size();
  Array<Code> codes(static_cast<py::ssize_t>(n));
  const std::span<Code> out = mutable_vector(codes, "codes");
  TextEncoder encoder(false, max_length, n_threads);
  try {
    for (std::size_t begin = 0; begin < n; begin += kChunk) {
      const auto objects = objects_of(ids);
      if (objects.size() != n) throw InvalidArgument("ids: the list has changed while it was read");
      const auto chunk = objects.subspan(begin, std::min(kChunk, n - begin));
      encoder.add({static_cast<Index>(chunk.size()), chunk.data(), read_objects}, out.subspan(begin, chunk.size()));
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      const py::gil_scoped_release release;
    }
  } catch (const NoString&) {
    return py::none();
  }
  return texts_and_codes(encoder, std::move(codes));
}

// ---- Arrow's strings: UTF-8 ----------------------------------------------------------------------

template <class Offset>
void read_arrow(const void* source, Index begin, Index end, TextView* out) {
  const auto& array = *static_cast<const ArrowArray*>(source);
  const auto* const offsets = static_cast<const Offset*>(array.buffers[1]) + array.offset;
  const auto* const bytes = static_cast<const char*>(array.buffers[2]);
  for (Index i = begin; i < end; ++i, ++out) *out = {bytes + offsets[i], offsets[i + 1] - offsets[i], 1};
}

// A view is a length and, of a short string, its bytes, else four of them and the places of a buffer and in it.
void read_arrow_views(const void* source, Index begin, Index end, TextView* out) {
  constexpr Index kViewBytes = 16, kMostInView = 12;
  const auto& array = *static_cast<const ArrowArray*>(source);
  const char* view = static_cast<const char*>(array.buffers[1]) + (array.offset + begin) * kViewBytes;
  for (Index i = begin; i < end; ++i, ++out, view += kViewBytes) {
    std::int32_t words[4];
    std::memcpy(words, view, sizeof words);
    *out = {view + 4, words[0], 1};
    if (words[0] > kMostInView) out->data = static_cast<const char*>(array.buffers[2 + words[2]]) + words[3];
  }
}

using Reader = decltype(TextColumn::read);

/// How strings of this type are read; null for other types.
Reader reader_of(const ArrowSchema* schema) {
  const std::string_view format = schema->format;
  if (format == "u") return read_arrow<std::int32_t>;
  if (format == "U") return read_arrow<std::int64_t>;
  return format == "vu" ? read_arrow_views : nullptr;
}

/// Strings that are given by their places in a dictionary.
struct Dictionary {
  const ArrowArray* places;
  std::vector<TextView> texts;
};

template <class Place>
void read_dictionary(const void* source, Index begin, Index end, TextView* out) {
  const auto& [places, texts] = *static_cast<const Dictionary*>(source);
  const auto* const place = static_cast<const Place*>(places->buffers[1]) + places->offset;
  for (Index i = begin; i < end; ++i, ++out) *out = texts[static_cast<std::size_t>(place[i])];
}

/// How places of this type are read; null for other types.
Reader dictionary_reader_of(const ArrowSchema* schema) {
  switch (schema->format[0]) {
    case 'c': return read_dictionary<std::int8_t>;
    case 'C': return read_dictionary<std::uint8_t>;
    case 's': return read_dictionary<std::int16_t>;
    case 'S': return read_dictionary<std::uint16_t>;
    case 'i': return read_dictionary<std::int32_t>;
    case 'I': return read_dictionary<std::uint32_t>;
    case 'l': return read_dictionary<std::int64_t>;
    case 'L': return read_dictionary<std::uint64_t>;
    default: return nullptr;
  }
}

bool has_nulls(const ArrowArray* array) {
  if (array->null_count == 0 || array->buffers[0] == nullptr) return false;
  if (array->null_count > 0) return true;
  const auto* const valid = static_cast<const unsigned char*>(array->buffers[0]);
  for (Index i = array->offset; i < array->offset + array->length; ++i) {
    if ((valid[i / 8] >> (i % 8) & 1) == 0) return true;
  }
  return false;
}

/// Numbers the strings of one array, and gives their codes the first places of `codes`.
void add_arrow(TextEncoder& encoder, const ArrowSchema* schema, const ArrowArray* array, std::span<Code> codes) {
  if (schema->dictionary == nullptr) {
    encoder.add({array->length, array, reader_of(schema)}, codes);
    return;
  }
  Dictionary dictionary{array, std::vector<TextView>(static_cast<std::size_t>(array->dictionary->length))};
  reader_of(schema->dictionary)(array->dictionary, 0, array->dictionary->length, dictionary.texts.data());
  encoder.add({array->length, &dictionary, dictionary_reader_of(schema)}, codes);
}

py::object encode_arrow(const py::capsule& capsule, Index max_length, int n_threads) {
  if (capsule.name() == nullptr || std::strcmp(capsule.name(), "arrow_array_stream") != 0) {
    throw py::type_error("expected a capsule named arrow_array_stream");
  }
  auto* const stream = capsule.get_pointer<ArrowArrayStream>();
  Released<ArrowSchema> schema;
  if (stream->release == nullptr || stream->get_schema(stream, schema.get()) != 0) return py::none();
  const bool has_dictionary = schema->dictionary != nullptr;
  if (has_dictionary && dictionary_reader_of(schema.get()) == nullptr) return py::none();
  if (reader_of(has_dictionary ? schema->dictionary : schema.get()) == nullptr) return py::none();
  std::vector<Released<ArrowArray>> arrays;
  Index size = 0;
  while (true) {
    Released<ArrowArray> array;
    if (stream->get_next(stream, array.get()) != 0) return py::none();
    if (array->release == nullptr) break;
    if (has_nulls(array.get()) || (has_dictionary && has_nulls(array->dictionary))) return py::none();
    size += array->length;
    arrays.push_back(std::move(array));
  }
  Array<Code> codes(size);
  std::span<Code> out = mutable_vector(codes, "codes");
  TextEncoder encoder(true, max_length, n_threads);
  {
    const py::gil_scoped_release release;
    for (auto& array : arrays) {
      const auto length = static_cast<std::size_t>(array->length);
      add_arrow(encoder, schema.get(), array.get(), out.first(length));
      out = out.subspan(length);
    }
  }
  return texts_and_codes(encoder, std::move(codes));
}

}  // namespace

void register_ids(py::module_& m) {
  m.def("encode_integers", &encode_integers_of<std::int32_t>, "ids"_a.noconvert(), "n_threads"_a = 0);
  m.def("encode_integers", &encode_integers_of<std::int64_t>, "ids"_a.noconvert(), "n_threads"_a = 0);
  m.def("lookup_integers", &lookup_integers_of, "known"_a.noconvert(), "query"_a.noconvert(), "n_threads"_a = 0);
  m.def("encode_fixed_width", &encode_fixed_width, "ids"_a, "max_length"_a, "n_threads"_a = 0,
        "The distinct strings of an array of NumPy strings and the codes; None if some string can be no id.");
  m.def("encode_objects", &encode_objects, "ids"_a, "max_length"_a, "n_threads"_a = 0,
        "The same for a list or an array of objects; None as well if some object is no string.");
  m.def("encode_arrow", &encode_arrow, "stream"_a, "max_length"_a, "n_threads"_a = 0,
        "The same for a stream of Arrow arrays; None as well if they hold no strings, or nulls.");
}

}  // namespace matfac::bindings
