#ifdef _WIN32

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "io/atomic_file.hpp"
#include "io/temporary_name.hpp"
#include "io/windows.hpp"

namespace matfac {
namespace {

namespace fs = std::filesystem;
using windows::fail;
using windows::Handle;

class Writer final : public FileSink {
 public:
  Writer(HANDLE file, const std::string& path) : file_(file), path_(path) {}

  void append(std::span<const std::byte> bytes) override {
    constexpr std::size_t kMaxWrite = std::size_t{1} << 30;
    while (!bytes.empty()) {
      DWORD written = 0;
      const std::size_t size = std::min(bytes.size(), kMaxWrite);
      if (!::WriteFile(file_.get(), bytes.data(), static_cast<DWORD>(size), &written, nullptr)) {
        fail(path_, "cannot be written", windows::last_errno());
      }
      bytes = bytes.subspan(written);
    }
  }

  void overwrite(std::uint64_t position, std::span<const std::byte> bytes) override {
    seek(static_cast<LONGLONG>(position), FILE_BEGIN);
    append(bytes);
    seek(0, FILE_END);
  }

  void flush_and_close() {
    if (!::FlushFileBuffers(file_.get())) fail(path_, "cannot be flushed to the disk", windows::last_errno());
    if (!file_.close()) fail(path_, "cannot be closed", windows::last_errno());
  }

 private:
  void seek(LONGLONG distance, DWORD from) {
    LARGE_INTEGER offset{};
    offset.QuadPart = distance;
    if (!::SetFilePointerEx(file_.get(), offset, nullptr, from)) fail(path_, "cannot seek", windows::last_errno());
  }

  Handle file_;
  const std::string& path_;
};

struct RemoveOnExit {
  fs::path path;
  ~RemoveOnExit() {
    if (!path.empty()) ::DeleteFileW(path.c_str());
  }
};

fs::path behind_links(const std::string& path) {
  const fs::path given = windows::path_of(path);
  std::error_code error;
  if (!fs::is_symlink(fs::symlink_status(given, error))) return given;
  const fs::path target = fs::weakly_canonical(given, error);
  if (error) fail(path, "cannot follow the symbolic link", error.default_error_condition().value());
  return target;
}

}  // namespace

void write_atomically(const std::string& path, const std::function<void(FileSink&)>& produce) {
  const fs::path target = behind_links(path);
  std::error_code ignored;
  if (fs::is_directory(target, ignored)) fail(path, "cannot be written", EISDIR);
  const fs::path directory = target.has_parent_path() ? target.parent_path() : fs::path(".");
  const fs::path temporary = directory / temporary_name();
  const HANDLE file = ::CreateFileW(temporary.c_str(), GENERIC_WRITE, 0, nullptr, CREATE_NEW, FILE_ATTRIBUTE_NORMAL,
                                    nullptr);
  if (file == INVALID_HANDLE_VALUE) {
    fail(path, "cannot create a temporary file in its directory", windows::last_errno());
  }
  RemoveOnExit remove{temporary};  // declared before the writer: a file is removed after it is closed
  Writer writer(file, path);
  produce(writer);
  writer.flush_and_close();
  // Fails while another process has the earlier file mapped; the earlier file then stays.
  if (!::MoveFileExW(temporary.c_str(), target.c_str(), MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH)) {
    fail(path, "cannot be replaced", windows::last_errno());
  }
  remove.path.clear();
}

}  // namespace matfac

#endif
