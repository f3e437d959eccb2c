#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace matfac {

/// A regular file mapped read-only: its pages are read when touched and shared with every process that maps it.
///
/// The bytes stay as they are when the path is replaced by another file (as `write_atomically` does). A program that
/// truncates or overwrites the file in place pulls them away: the next access may end the process (SIGBUS).
/// Windows: MapViewOfFile; there a mapped file cannot be replaced before the last mapping is gone.
class MappedFile {
 public:
  /// Throws FileError: with the system's error, or with 0 for what is not a regular file. Never blocks on a pipe.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

  /// Hints that every byte is about to be read, in order; `finished`: no longer.
  void advise_sequential(bool finished = false) const;

 private:
  const std::byte* data_ = nullptr;  // page-aligned
  std::size_t size_ = 0;
};

}  // namespace matfac
