#pragma once

/// What the Windows halves of this folder share. Included nowhere else: it brings in <windows.h>.

#ifndef NOMINMAX
#define NOMINMAX
#endif
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>

#include "core/message.hpp"

namespace matfac::windows {

/// Paths are UTF-8 throughout the library.
inline std::filesystem::path path_of(const std::string& utf8) {
  return std::filesystem::path(std::u8string(utf8.begin(), utf8.end()));
}

/// The `errno` nearest to what the last system call met.
inline int last_errno() {
  const std::error_code code(static_cast<int>(::GetLastError()), std::system_category());
  return code.default_error_condition().value();
}

[[noreturn]] inline void fail(const std::string& path, const char* step, int error) {
  throw FileError(message(path, ": ", step, ": ", std::generic_category().message(error)), error);
}

class Handle {
 public:
  explicit Handle(HANDLE handle) : handle_(handle) {}
  ~Handle() { close(); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  bool valid() const { return handle_ != nullptr && handle_ != INVALID_HANDLE_VALUE; }
  HANDLE get() const { return handle_; }
  bool close() {
    const bool closed = !valid() || ::CloseHandle(handle_) != 0;
    handle_ = nullptr;
    return closed;
  }

 private:
  HANDLE handle_;
};

}  // namespace matfac::windows
