#include "matfac/model_file.hpp"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "matfac/error.hpp"

namespace py = pybind11;

namespace matfac::bindings {
namespace {

PYBIND11_CONSTINIT py::gil_safe_call_once_and_store<py::object> model_file_error;

// str, bytes or anything with __fspath__, in the file system's own encoding; refuses a null character.
std::string path_text(const py::object& path) {
  PyObject* encoded = nullptr;
  if (PyUnicode_FSConverter(path.ptr(), &encoded) == 0) throw py::error_already_set();
  return py::reinterpret_steal<py::bytes>(encoded);
}

// Where the system refused: the OSError of that errno (FileNotFoundError, PermissionError, ...). Otherwise ModelFileError.
[[noreturn]] void raise_file_error(const FileError& error, const py::object& path, const std::string& text) {
  std::string what = error.what();
  const auto decoded = [&] {  // a path need not be UTF-8
    PyObject* unicode = PyUnicode_DecodeUTF8(what.data(), static_cast<py::ssize_t>(what.size()), "backslashreplace");
    if (unicode == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(unicode);
  };
  if (error.system_error() == 0) {
    PyErr_SetObject(model_file_error.get_stored().ptr(), decoded().ptr());
  } else {
    const std::string prefix = text + ": ";
    if (what.compare(0, prefix.size(), prefix) == 0) what.erase(0, prefix.size());  // OSError appends the path itself
    const py::object arguments = py::make_tuple(error.system_error(), decoded(), path);
    PyErr_SetObject(PyExc_OSError, arguments.ptr());
  }
  throw py::error_already_set();
}

/// An argument that must be an array of this dtype, one or two dimensions, C-contiguous: it is read where it lies.
template <class T>
std::span<const T> typed(const py::array& array, const char* name, const char* dtype, int n_dimensions) {
  const bool fits = py::dtype::of<T>().equal(array.dtype()) && array.ndim() == n_dimensions &&
                    (array.flags() & py::array::c_style) != 0 &&
                    reinterpret_cast<std::uintptr_t>(array.data()) % alignof(T) == 0;
  if (!fits) {
    throw InvalidArgument(std::string(name) + " must be a C-contiguous " + dtype + " array of " +
                          std::to_string(n_dimensions) + (n_dimensions == 1 ? " dimension" : " dimensions") + ", not " +
                          py::str(array.dtype()).cast<std::string>() + " of " + std::to_string(array.ndim()));
  }
  return {static_cast<const T*>(array.data()), static_cast<std::size_t>(array.size())};
}

py::array as_array(const py::handle& object, const char* name) {
  if (!py::isinstance<py::array>(object)) {
    throw py::type_error(std::string(name) + " must be a NumPy array, not " +
                         py::str(py::type::handle_of(object).attr("__name__")).cast<std::string>());
  }
  return py::reinterpret_borrow<py::array>(object);
}

std::pair<py::array, py::array> as_pair(const py::object& object, const char* name) {
  if (!py::isinstance<py::tuple>(object) || py::len(object) != 2) {
    throw py::type_error(std::string(name) + " must be a tuple of two arrays");
  }
  const auto pair = py::reinterpret_borrow<py::tuple>(object);
  return {as_array(pair[0], name), as_array(pair[1], name)};
}

IdsView ids_view(const py::object& object, const char* name) {
  IdsView ids;
  if (py::isinstance<py::array>(object)) {
    ids.integers = typed<std::int64_t>(as_array(object, name), name, "int64", 1);
    return ids;
  }
  const auto [offsets, text] = as_pair(object, name);
  const std::span<const std::uint8_t> bytes = typed<std::uint8_t>(text, name, "uint8", 1);
  ids.kind = IdsView::Kind::strings;
  ids.offsets = typed<Index>(offsets, name, "int64", 1);
  ids.text = {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  return ids;
}

// A PatternView carries no lengths: they must be right before it exists.
PatternView seen_view(const py::object& object, Index n_users, Index n_items) {
  if (object.is_none()) return {};
  const auto [offset_array, item_array] = as_pair(object, "seen");
  const std::span<const Index> offsets = typed<Index>(offset_array, "seen offsets", "int64", 1);
  const std::span<const Code> items = typed<Code>(item_array, "seen items", "int32", 1);
  if (static_cast<Index>(offsets.size()) != n_users + 1) {
    throw InvalidArgument("seen offsets have " + std::to_string(offsets.size()) + " entries, expected n_users + 1 = " +
                          std::to_string(n_users + 1));
  }
  if (offsets.back() != static_cast<Index>(items.size())) {
    throw InvalidArgument("seen offsets must end with the number of seen items, " + std::to_string(items.size()) +
                          ", not " + std::to_string(offsets.back()));
  }
  return {n_users, n_items, offsets.data(), items.data()};
}

/// The arguments of `save_model` that are the same for both types of parameters.
struct SaveArguments {
  const py::array &user_factors, &item_factors;
  const py::object &user_biases, &item_biases, &user_ids, &item_ids, &seen;
  double global_mean;
  std::map<std::string, std::string> metadata;
};

template <class T>
std::span<const T> biases_of(const py::object& object, const char* name, const char* dtype, Index length) {
  if (object.is_none()) return {};
  const std::span<const T> biases = typed<T>(as_array(object, name), name, dtype, 1);
  if (static_cast<Index>(biases.size()) != length) {  // an empty array is not "none"
    throw InvalidArgument(std::string(name) + " has " + std::to_string(biases.size()) + " entries, expected " +
                          std::to_string(length));
  }
  return biases;
}

template <class T>
void save(const std::string& path, const SaveArguments& arguments, const char* dtype) {
  const auto matrix = [&](const py::array& array, const char* name) {
    const std::span<const T> values = typed<T>(array, name, dtype, 2);
    return MatrixView<const T>{values.data(), array.shape(0), array.shape(1)};
  };
  ModelView<T> model;
  model.user_factors = matrix(arguments.user_factors, "user_factors");
  model.item_factors = matrix(arguments.item_factors, "item_factors");
  model.user_biases = biases_of<T>(arguments.user_biases, "user_biases", dtype, model.user_factors.rows);
  model.item_biases = biases_of<T>(arguments.item_biases, "item_biases", dtype, model.item_factors.rows);
  model.global_mean = arguments.global_mean;
  ModelRecord record;
  record.user_ids = ids_view(arguments.user_ids, "user_ids");
  record.item_ids = ids_view(arguments.item_ids, "item_ids");
  record.seen = seen_view(arguments.seen, model.user_factors.rows, model.item_factors.rows);
  record.metadata = arguments.metadata;
  const py::gil_scoped_release released;
  save_model(path, model, record);
}

void save_any(const py::object& path, const py::array& user_factors, const py::array& item_factors,
              const py::object& user_biases, const py::object& item_biases, double global_mean,
              const py::object& user_ids, const py::object& item_ids, const py::object& seen,
              std::map<std::string, std::string> metadata) {
  const std::string text = path_text(path);
  const SaveArguments arguments{user_factors, item_factors, user_biases, item_biases,        user_ids,
                                item_ids,     seen,         global_mean, std::move(metadata)};
  try {
    if (py::dtype::of<double>().equal(user_factors.dtype())) {
      save<double>(text, arguments, "float64");
    } else if (py::dtype::of<float>().equal(user_factors.dtype())) {
      save<float>(text, arguments, "float32");
    } else {
      throw InvalidArgument("user_factors must be float32 or float64, not " +
                            py::str(user_factors.dtype()).cast<std::string>());
    }
  } catch (const FileError& error) {
    raise_file_error(error, path, text);
  }
}

/// Makes read-only arrays over the mapping; each keeps it alive.
class Views {
 public:
  explicit Views(const ModelFile& file)
      : owner_(new ModelFile(file), [](void* pointer) { delete static_cast<ModelFile*>(pointer); }) {}

  template <class T>
  py::array array(const T* data, std::vector<py::ssize_t> shape) const {
    py::array view(py::dtype::of<T>(), std::move(shape), data, owner_);
    view.attr("setflags")(py::arg("write") = false);
    return view;
  }

  template <class T>
  py::array array(std::span<const T> values) const {
    return array(values.data(), {static_cast<py::ssize_t>(values.size())});
  }

  template <class T>
  py::object optional_array(std::span<const T> values) const {
    return values.empty() ? py::object(py::none()) : py::object(array(values));
  }

  py::object ids(const IdsView& ids) const {
    if (ids.kind == IdsView::Kind::integers) return array(ids.integers);
    const auto* text = reinterpret_cast<const std::uint8_t*>(ids.text.data());
    return py::make_tuple(array(ids.offsets), array(std::span(text, ids.text.size())));
  }

  py::object seen(const PatternView& seen) const {
    if (seen.n_users == 0) return py::none();
    return py::make_tuple(array(seen.offsets, {seen.n_users + 1}), array(seen.items, {seen.nnz()}));
  }

 private:
  py::capsule owner_;
};

template <class T>
void put_model(py::dict& result, const Views& views, const ModelView<T>& model) {
  const auto matrix = [&](const MatrixView<const T>& m) { return views.array(m.data, {m.rows, m.cols}); };
  result["user_factors"] = matrix(model.user_factors);
  result["item_factors"] = matrix(model.item_factors);
  result["user_biases"] = views.optional_array(model.user_biases);
  result["item_biases"] = views.optional_array(model.item_biases);
  result["global_mean"] = model.global_mean;
}

py::dict load(const py::object& path, bool verify_checksum) {
  const std::string text = path_text(path);
  ModelFile file;
  const ModelRecord* record = nullptr;
  try {
    const py::gil_scoped_release released;
    file = ModelFile::open(text, verify_checksum);
    record = &file.record();
  } catch (const FileError& error) {
    raise_file_error(error, path, text);
  }
  const Views views(file);
  py::dict result;
  if (file.is_double()) {
    put_model(result, views, file.model<double>());
  } else {
    put_model(result, views, file.model<float>());
  }
  result["user_ids"] = views.ids(record->user_ids);
  result["item_ids"] = views.ids(record->item_ids);
  result["seen"] = views.seen(record->seen);
  result["metadata"] = record->metadata;
  return result;
}

constexpr const char* kSaveDoc =
    "Write a model file atomically; see docs/file-format.md. Ids are an int64 array or a tuple of int64 offsets and\n"
    "uint8 text; `seen` is a tuple of int64 offsets and int32 items. Nothing is copied. Raises ValueError for arguments\n"
    "that make no model, OSError where the system refuses.";

constexpr const char* kLoadDoc =
    "Map a model file. The result has the arguments of `save_model` as keys; its arrays are read-only views of the\n"
    "mapping and keep it alive. Raises ModelFileError for a file that is damaged or no model, OSError where the system\n"
    "refuses. Without `verify_checksum` the factors are not read.";

}  // namespace

void register_model_file(py::module_& m) {
  model_file_error.call_once_and_store_result([&] {
    py::object type = py::exception<FileError>(m, "ModelFileError", PyExc_ValueError);
    type.attr("__doc__") = "A file is not a model file, or is damaged, or was written by a later version.";
    return type;
  });
  m.def("save_model", &save_any, py::arg("path"), py::arg("user_factors"), py::arg("item_factors"),
        py::arg("user_biases"), py::arg("item_biases"), py::arg("global_mean"), py::arg("user_ids"),
        py::arg("item_ids"), py::arg("seen"), py::arg("metadata"), kSaveDoc);
  m.def("load_model", &load, py::arg("path"), py::arg("verify_checksum") = true, kLoadDoc);
}

}  // namespace matfac::bindings
