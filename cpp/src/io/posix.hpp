#pragma once

/// What the POSIX halves of this folder share.

#include <unistd.h>

#include <string>
#include <system_error>

#include "core/message.hpp"

namespace matfac::posix {

[[noreturn]] inline void fail(const std::string& path, const char* step, int error) {
  throw FileError(message(path, ": ", step, ": ", std::generic_category().message(error)), error);
}

/// A file descriptor that is closed at the end.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }

 private:
  int fd_;
};

}  // namespace matfac::posix
