#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace matfac {

/// Where the bytes of a file under construction go. Every member throws FileError when the system refuses.
class FileSink {
 public:
  virtual void append(std::span<const std::byte> bytes) = 0;
  /// Replaces bytes that have been appended before.
  virtual void overwrite(std::uint64_t position, std::span<const std::byte> bytes) = 0;

 protected:
  ~FileSink() = default;
};

/// Replaces the file at `path`, or creates it, with what `produce` appends: all of it or nothing.
///
/// The bytes go to a temporary file in the same directory, are flushed to the disk, take the place of `path` in one
/// rename, and the directory is flushed. Whatever fails or interrupts, `path` is the earlier file whole or the new file
/// whole. On Linux the temporary file has no name until it is complete, so not even a killed process leaves it behind
/// (except between two system calls at the very end); elsewhere it is `.matfac-<16 digits>.tmp`, removed on failure.
///
/// A symbolic link is followed: its target is replaced and the link stays, as with ordinary writing. A file that exists
/// keeps its permission bits, and one that the caller may not write is refused; a new file gets 0666 less the umask.
/// Refused as well: a directory, device or pipe. `produce` may be called twice, the first file being thrown away.
void write_atomically(const std::string& path, const std::function<void(FileSink&)>& produce);

}  // namespace matfac
