#ifdef _WIN32

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <limits>

#include "io/mapped_file.hpp"
#include "io/windows.hpp"

namespace matfac {

using windows::fail;
using windows::Handle;

MappedFile::MappedFile(const std::string& path) {
  const std::filesystem::path name = windows::path_of(path);
  std::error_code ignored;
  if (std::filesystem::is_directory(name, ignored)) fail(path, "cannot be opened", EISDIR);
  // FILE_SHARE_DELETE: the file may be renamed away while it is mapped.
  const Handle file(::CreateFileW(name.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, nullptr,
                                  OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr));
  if (!file.valid()) fail(path, "cannot be opened", windows::last_errno());
  if (::GetFileType(file.get()) != FILE_TYPE_DISK) {
    throw FileError(path + ": expected a regular file, found a device or pipe");
  }
  LARGE_INTEGER size{};
  if (!::GetFileSizeEx(file.get(), &size)) fail(path, "cannot be examined", windows::last_errno());
  if (static_cast<std::uint64_t>(size.QuadPart) > std::numeric_limits<std::size_t>::max()) {
    fail(path, "cannot be mapped", EFBIG);
  }
  size_ = static_cast<std::size_t>(size.QuadPart);
  if (size_ == 0) return;
  const Handle mapping(::CreateFileMappingW(file.get(), nullptr, PAGE_READONLY, 0, 0, nullptr));
  if (!mapping.valid()) fail(path, "cannot be mapped", windows::last_errno());
  data_ = static_cast<const std::byte*>(::MapViewOfFile(mapping.get(), FILE_MAP_READ, 0, 0, 0));
  if (data_ == nullptr) fail(path, "cannot be mapped", windows::last_errno());
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::UnmapViewOfFile(data_);
}

void MappedFile::advise_sequential(bool) const {}  // Windows reads ahead by itself

}  // namespace matfac

#endif
