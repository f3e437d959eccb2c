#ifndef _WIN32

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <limits>

#include "io/mapped_file.hpp"
#include "io/posix.hpp"

namespace matfac {

using posix::fail;

MappedFile::MappedFile(const std::string& path) {
  // O_NONBLOCK: a pipe without a writer would hold us here; on a regular file it means nothing.
  const posix::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) fail(path, "cannot be opened", errno);
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) fail(path, "cannot be examined", errno);
  if (S_ISDIR(status.st_mode)) fail(path, "cannot be opened", EISDIR);
  if (!S_ISREG(status.st_mode)) throw FileError(path + ": expected a regular file, found a device, pipe or socket");
  if (static_cast<std::uint64_t>(status.st_size) > std::numeric_limits<std::size_t>::max()) {
    fail(path, "cannot be mapped", EFBIG);
  }
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ == 0) return;  // nothing to map, and mmap refuses it
  void* const address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.get(), 0);
  if (address == MAP_FAILED) fail(path, "cannot be mapped", errno);
  data_ = static_cast<const std::byte*>(address);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::advise_sequential(bool finished) const {
  if (data_ == nullptr) return;
  ::posix_madvise(const_cast<std::byte*>(data_), size_, finished ? POSIX_MADV_NORMAL : POSIX_MADV_SEQUENTIAL);
}

}  // namespace matfac

#endif
