#ifndef _WIN32

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>

#include "io/atomic_file.hpp"
#include "io/posix.hpp"
#include "io/temporary_name.hpp"

namespace matfac {
namespace {

namespace fs = std::filesystem;
using posix::fail;

constexpr std::size_t kMaxWrite = std::size_t{1} << 30;  // some systems refuse 2 GiB in one call
constexpr mode_t kNewFileMode = 0666;                    // less the umask
constexpr mode_t kPermissionBits = 0777;

/// What is to be replaced.
struct Target {
  std::string given;  // as the caller wrote it, for messages
  fs::path path;      // behind all symbolic links
  fs::path directory;
  std::optional<mode_t> mode;  // of the file that exists
};

fs::path behind_links(const std::string& given) {
  constexpr int kMaxLinks = 40;  // the limit of Linux
  fs::path path = given;
  for (int i = 0; i < kMaxLinks; ++i) {
    std::error_code error;
    if (!fs::is_symlink(fs::symlink_status(path, error))) return path;
    const fs::path next = fs::read_symlink(path, error);
    if (error) fail(given, "cannot follow the symbolic link", error.value());
    path = path.parent_path() / next;  // an absolute `next` replaces the left side
  }
  fail(given, "cannot follow the symbolic link", ELOOP);
}

Target examine(const std::string& given) {
  Target target{given, behind_links(given), {}, {}};
  target.directory = target.path.has_parent_path() ? target.path.parent_path() : fs::path(".");
  struct stat status{};
  if (::stat(target.path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) fail(given, "cannot be written", EISDIR);
    if (!S_ISREG(status.st_mode)) throw FileError(given + ": cannot be replaced: it is a device, pipe or socket");
    // A rename would not ask: only the directory's permission counts there.
    if (::faccessat(AT_FDCWD, target.path.c_str(), W_OK, AT_EACCESS) != 0) fail(given, "cannot be written", errno);
    target.mode = status.st_mode & kPermissionBits;
  } else if (errno != ENOENT) {
    fail(given, "cannot be written", errno);
  } else if (!target.path.has_filename()) {
    fail(given, "cannot be written", given.empty() ? ENOENT : EISDIR);
  }
  return target;
}

class Writer final : public FileSink {
 public:
  Writer(int fd, const Target& target) : file_(fd), target_(target) {}

  void append(std::span<const std::byte> bytes) override {
    write_all(bytes,
              [&](const std::byte* data, std::size_t size, std::uint64_t) { return ::write(file_.get(), data, size); });
  }

  void overwrite(std::uint64_t position, std::span<const std::byte> bytes) override {
    write_all(bytes, [&](const std::byte* data, std::size_t size, std::uint64_t done) {
      return ::pwrite(file_.get(), data, size, static_cast<off_t>(position + done));
    });
  }

  /// Permissions, then everything to the disk.
  void flush() {
    if (target_.mode && ::fchmod(file_.get(), *target_.mode) != 0) fail(target_.given, "cannot set permissions", errno);
#ifdef F_FULLFSYNC  // macOS: fsync stops at the drive's own cache
    if (::fcntl(file_.get(), F_FULLFSYNC) == 0) return;
#endif
    int result = 0;
    do {
      result = ::fsync(file_.get());
    } while (result != 0 && errno == EINTR);
    if (result != 0) fail(target_.given, "cannot be flushed to the disk", errno);
  }

  /// Some file systems report a failed write only here.
  void close() {
    if (::close(file_.release()) != 0 && errno != EINTR) fail(target_.given, "cannot be closed", errno);
  }

 private:
  template <class Write>
  void write_all(std::span<const std::byte> bytes, Write write) const {
    for (std::uint64_t done = 0; done < bytes.size();) {
      const std::size_t size = std::min(bytes.size() - static_cast<std::size_t>(done), kMaxWrite);
      const ssize_t written = write(bytes.data() + done, size, done);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) fail(target_.given, "cannot be written", written < 0 ? errno : EIO);
      done += static_cast<std::uint64_t>(written);
    }
  }

  posix::Descriptor file_;
  const Target& target_;
};

/// A name in the directory that is removed unless it has been renamed away.
class TemporaryName {
 public:
  explicit TemporaryName(const Target& target) : target_(target) {}
  ~TemporaryName() {
    if (exists_) ::unlink(path_.c_str());
  }
  TemporaryName(const TemporaryName&) = delete;
  TemporaryName& operator=(const TemporaryName&) = delete;

  /// Calls `create(name)`, which gives -1 and an errno on failure, with new names until one is free.
  template <class Create>
  int claim(Create create) {
    constexpr int kAttempts = 100;
    int result = -1;
    for (int i = 0; i < kAttempts; ++i) {
      path_ = target_.directory / temporary_name();
      result = create(path_.c_str());
      exists_ = result >= 0;
      if (exists_ || errno != EEXIST) break;
    }
    return result;
  }

  void rename_to_target() {
    if (::rename(path_.c_str(), target_.path.c_str()) != 0) fail(target_.given, "cannot be replaced", errno);
    exists_ = false;
  }

 private:
  const Target& target_;
  fs::path path_;
  bool exists_ = false;
};

/// Makes the rename itself survive a power failure. A directory that may not be read cannot be flushed, and some file
/// systems do not flush directories: the file is in its place all the same.
void flush_directory(const Target& target) {
  const posix::Descriptor directory(::open(target.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0 || ::fsync(directory.get()) == 0) return;
  if (errno == EIO) fail(target.given, "was replaced, but its directory cannot be flushed to the disk", errno);
}

void write_named(const Target& target, const std::function<void(FileSink&)>& produce) {
  TemporaryName name(target);
  const int fd = name.claim([](const char* path) {
    return ::open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, kNewFileMode);
  });
  if (fd < 0) fail(target.given, "cannot create a temporary file in its directory", errno);
  Writer writer(fd, target);
  produce(writer);
  writer.flush();
  writer.close();
  name.rename_to_target();
}

/// False where the system has no files without a name, or cannot give them one.
bool write_anonymous([[maybe_unused]] const Target& target,
                     [[maybe_unused]] const std::function<void(FileSink&)>& produce) {
#ifdef O_TMPFILE
  const int fd = ::open(target.directory.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, kNewFileMode);
  if (fd < 0) return false;
  Writer writer(fd, target);
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  if (::access(self.c_str(), F_OK) != 0) return false;
  produce(writer);
  writer.flush();
  TemporaryName name(target);
  const int linked = name.claim(
      [&](const char* path) { return ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path, AT_SYMLINK_FOLLOW); });
  if (linked != 0) return false;
  writer.close();
  name.rename_to_target();
  return true;
#else
  return false;
#endif
}

}  // namespace

void write_atomically(const std::string& path, const std::function<void(FileSink&)>& produce) {
  const Target target = examine(path);
  if (!write_anonymous(target, produce)) write_named(target, produce);
  flush_directory(target);
}

}  // namespace matfac

#endif
