#include "matfac/model_file.hpp"

#include <pybind11/stl.h>

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "arrays.hpp"
#include "bindings.hpp"
#include "matfac/error.hpp"

namespace matfac::bindings {
namespace {

PYBIND11_CONSTINIT py::gil_safe_call_once_and_store<py::object> model_file_error;

// str, bytes or anything with __fspath__, in the file system's own encoding; refuses a null character.
std::string path_text(const py::object& path) {
  PyObject* encoded = nullptr;
  if (PyUnicode_FSConverter(path.ptr(), &encoded) == 0) throw py::error_already_set();
  return py::reinterpret_steal<py::bytes>(encoded);
}

// Where the system refused: the OSError of that errno (FileNotFoundError, PermissionError, ...); else ModelFileError.
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

// Ids as Python holds them: integers, or the offsets and the text of strings.
using StringIds = std::pair<Array<Index>, Array<std::uint8_t>>;
using Ids = std::variant<Array<std::int64_t>, StringIds>;
using Seen = std::optional<std::pair<Array<Index>, Array<Code>>>;

IdsView ids_view(const Ids& object, const char* name) {
  IdsView ids;
  if (const auto* integers = std::get_if<Array<std::int64_t>>(&object)) {
    ids.integers = vector(*integers, name);
    return ids;
  }
  const auto& [offsets, text] = std::get<StringIds>(object);
  const std::span<const std::uint8_t> bytes = vector(text, name);
  ids.kind = IdsView::Kind::strings;
  ids.offsets = vector(offsets, name);
  ids.text = {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  return ids;
}

// A PatternView carries no lengths: they must be right before it exists.
PatternView seen_view(const Seen& seen, Index n_users, Index n_items) {
  if (!seen) return {};
  const std::span<const Index> offsets = vector(seen->first, "seen offsets");
  const std::span<const Code> items = vector(seen->second, "seen items");
  if (static_cast<Index>(offsets.size()) != n_users + 1) {
    throw py::value_error("seen offsets have " + std::to_string(offsets.size()) +
                          " entries, expected n_users + 1 = " + std::to_string(n_users + 1));
  }
  if (offsets.back() != static_cast<Index>(items.size())) {
    throw py::value_error("seen offsets must end with the number of seen items, " + std::to_string(items.size()) +
                          ", not " + std::to_string(offsets.back()));
  }
  return {n_users, n_items, offsets.data(), items.data()};
}

// In a ModelView no entries mean no biases; an empty array means a mistake.
template <class T>
void require_biases(const std::optional<Array<T>>& biases, const char* name, Index length) {
  if (!biases || biases->size() == length) return;
  throw py::value_error(std::string(name) + " has " + std::to_string(biases->size()) + " entries, expected " +
                        std::to_string(length));
}

template <class T>
void save(const py::object& path, const Array<T>& user_factors, const Array<T>& item_factors,
          const std::optional<Array<T>>& user_biases, const std::optional<Array<T>>& item_biases, double global_mean,
          const Ids& user_ids, const Ids& item_ids, const Seen& seen, std::map<std::string, std::string> metadata) {
  const std::string text = path_text(path);
  const ModelView<T> model = model_view(user_factors, item_factors, user_biases, item_biases, global_mean);
  require_biases(user_biases, "user_biases", model.user_factors.rows);
  require_biases(item_biases, "item_biases", model.item_factors.rows);
  ModelRecord record;
  record.user_ids = ids_view(user_ids, "user_ids");
  record.item_ids = ids_view(item_ids, "item_ids");
  record.seen = seen_view(seen, model.user_factors.rows, model.item_factors.rows);
  record.metadata = std::move(metadata);
  try {
    const py::gil_scoped_release released;
    save_model(text, model, record);
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

/// A file that is open. Parts that are only checked when they are asked for are asked for one by one.
class OpenedFile {
 public:
  OpenedFile(const py::object& path, bool verify_checksum) : path_(path), text_(path_text(path)) {
    ask([&] { file_ = ModelFile::open(text_, verify_checksum); });
  }

  py::dict parameters() const {
    py::dict result;
    if (file_.is_double()) {
      put_model(result, Views(file_), file_.model<double>());
    } else {
      put_model(result, Views(file_), file_.model<float>());
    }
    return result;
  }

  py::object user_ids() const {
    return Views(file_).ids(asked([&] { return file_.user_ids(); }));
  }
  py::object item_ids() const {
    return Views(file_).ids(asked([&] { return file_.item_ids(); }));
  }
  py::object seen() const {
    return Views(file_).seen(asked([&] { return file_.seen(); }));
  }
  Settings settings() const {
    return asked([&] { return file_.settings(); });
  }
  const std::map<std::string, std::string>& metadata() const { return file_.metadata(); }
  const std::string& library_version() const { return file_.library_version(); }
  const std::string& checksum() const { return file_.checksum(); }

 private:
  /// Without the lock of the interpreter: the file may be large.
  template <class Question>
  void ask(const Question& question) const {
    try {
      const py::gil_scoped_release released;
      question();
    } catch (const FileError& error) {
      raise_file_error(error, path_, text_);
    }
  }

  template <class Question>
  std::invoke_result_t<const Question&> asked(const Question& question) const {
    std::invoke_result_t<const Question&> answer;
    ask([&] { answer = question(); });
    return answer;
  }

  py::object path_;
  std::string text_;
  ModelFile file_;
};

py::dict load(const py::object& path, bool verify_checksum) {
  const OpenedFile file(path, verify_checksum);
  py::dict result = file.parameters();
  result["user_ids"] = file.user_ids();
  result["item_ids"] = file.item_ids();
  result["seen"] = file.seen();
  result["metadata"] = file.metadata();
  result["library_version"] = file.library_version();
  result["checksum"] = file.checksum();
  return result;
}

constexpr const char* kSaveDoc =
    "Write a model file atomically; see docs/file-format.md. Ids are an int64 array or a tuple of int64 offsets and\n"
    "uint8 text; `seen` is a tuple of int64 offsets and int32 items. Nothing is copied. Raises ValueError for what\n"
    "makes no model, OSError where the system refuses.";

constexpr const char* kFileDoc =
    "A model file, mapped. What its methods return has the form of the arguments of `save_model`; arrays are read-only\n"
    "views of the mapping and keep it alive. Raises ModelFileError for a file that is damaged or no model, OSError where\n"
    "the system refuses. Without `verify_checksum` only the header is read, and `user_ids`, `item_ids` and `seen` raise\n"
    "ModelFileError, when they are called, for what would lead out of the file.";

constexpr const char* kLoadDoc = "All that a `ModelFile` has but the settings, by name: the arguments of `save_model`.";

void register_opened_file(py::module_& m) {
  py::class_<OpenedFile>(m, "ModelFile", kFileDoc)
      .def(py::init<const py::object&, bool>(), py::arg("path"), py::arg("verify_checksum") = true)
      .def("parameters", &OpenedFile::parameters, "The factors, biases and the mean, by name.")
      .def("user_ids", &OpenedFile::user_ids)
      .def("item_ids", &OpenedFile::item_ids)
      .def("seen", &OpenedFile::seen)
      .def("settings", &OpenedFile::settings,
           "The settings of the fit; ModelFileError names an entry of the metadata that no fit has written.")
      .def_property_readonly("metadata", &OpenedFile::metadata, "The entries of whoever wrote the file.")
      .def_property_readonly("library_version", &OpenedFile::library_version)
      .def_property_readonly("checksum", &OpenedFile::checksum);
  m.def("load_model", &load, py::arg("path"), py::arg("verify_checksum") = true, kLoadDoc);
}

}  // namespace

void register_model_file(py::module_& m) {
  model_file_error.call_once_and_store_result([&] {
    py::object type = py::exception<FileError>(m, "ModelFileError", PyExc_ValueError);
    type.attr("__doc__") = "A file is not a model file, or is damaged, or was written by a later version.";
    return type;
  });
  const auto def_save = [&]<class T>(T) {
    m.def("save_model", &save<T>, py::arg("path"), py::arg("user_factors").noconvert(),
          py::arg("item_factors").noconvert(), py::arg("user_biases").noconvert(), py::arg("item_biases").noconvert(),
          py::arg("global_mean"), py::arg("user_ids").noconvert(), py::arg("item_ids").noconvert(),
          py::arg("seen").noconvert(), py::arg("metadata"), kSaveDoc);
  };
  def_save(float{});
  def_save(double{});
  register_opened_file(m);
}

}  // namespace matfac::bindings
