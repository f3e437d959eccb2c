#include "matfac/model_file.hpp"

#include <array>
#include <atomic>
#include <iterator>
#include <memory>
#include <mutex>

#include "core/message.hpp"
#include "io/mapped_file.hpp"
#include "io/model_contents.hpp"
#include "io/settings_entries.hpp"

namespace matfac {
namespace {

// What is wrong with the content of a file is not the argument's fault: it becomes a FileError that names the file.
template <class F>
void with_path(const std::string& path, F&& read) {
  try {
    read();
  } catch (const InvalidArgument& error) {
    throw FileError(message(path, ": ", error.what()));
  }
}

}  // namespace

struct ModelFile::Impl {
  explicit Impl(const std::string& name) : path(name), file(name) {}

  std::string path;
  MappedFile file;
  ModelContents contents;

  /// Once for each part: at opening, or else when it is first asked for.
  void require_checked(IndexedPart part) const {
    std::atomic<bool>& checked = indices_checked[static_cast<std::size_t>(part)];
    if (checked.load(std::memory_order_acquire)) return;
    const std::lock_guard lock(mutex);
    if (checked.load(std::memory_order_relaxed)) return;
    with_path(path, [&] { check_indices(contents, part); });
    checked.store(true, std::memory_order_release);
  }

  mutable std::array<std::atomic<bool>, std::size(kIndexedParts)> indices_checked{};
  mutable std::mutex mutex;
};

namespace {

template <class Impl>
const Impl& opened(const std::shared_ptr<Impl>& impl) {
  require(impl != nullptr, "no model file is open: this object is empty or was moved from");
  return *impl;
}

}  // namespace

ModelFile ModelFile::open(const std::string& path, bool verify_checksum) {
  require(path.find('\0') == std::string::npos, "the path holds a null character");
  const auto impl = std::make_shared<Impl>(path);
  const std::span<const std::byte> bytes = impl->file.bytes();
  with_path(path, [&] {
    impl->contents = read_contents(bytes);
    if (!verify_checksum) return;
    impl->file.advise_sequential();
    check_bytes(impl->contents, bytes);
    impl->file.advise_sequential(true);
    for (const IndexedPart part : kIndexedParts) impl->require_checked(part);
    check_values(impl->contents);
  });
  ModelFile file;
  file.impl_ = impl;
  return file;
}

bool ModelFile::is_double() const { return std::holds_alternative<ModelView<double>>(opened(impl_).contents.model); }

template <class T>
ModelView<T> ModelFile::model() const {
  const auto* view = std::get_if<ModelView<T>>(&opened(impl_).contents.model);
  require(view != nullptr, impl_->path, " holds ", is_double() ? "float64" : "float32",
          " parameters: ask for that type (see is_double)");
  return *view;
}

template MATFAC_API ModelView<float> ModelFile::model() const;
template MATFAC_API ModelView<double> ModelFile::model() const;

const std::string& ModelFile::library_version() const { return opened(impl_).contents.library_version; }

const std::string& ModelFile::checksum() const { return opened(impl_).contents.checksum_text; }

const ModelRecord& ModelFile::record() const {
  const Impl& impl = opened(impl_);
  for (const IndexedPart part : kIndexedParts) impl.require_checked(part);
  return impl.contents.record;
}

const IdsView& ModelFile::user_ids() const {
  opened(impl_).require_checked(IndexedPart::user_ids);
  return impl_->contents.record.user_ids;
}

const IdsView& ModelFile::item_ids() const {
  opened(impl_).require_checked(IndexedPart::item_ids);
  return impl_->contents.record.item_ids;
}

const PatternView& ModelFile::seen() const {
  opened(impl_).require_checked(IndexedPart::seen);
  return impl_->contents.record.seen;
}

const std::map<std::string, std::string>& ModelFile::metadata() const { return opened(impl_).contents.record.metadata; }

Settings ModelFile::settings() const {
  const Impl& impl = opened(impl_);
  Settings settings;
  with_path(impl.path, [&] { settings = settings_of(impl.contents); });
  return settings;
}

}  // namespace matfac
