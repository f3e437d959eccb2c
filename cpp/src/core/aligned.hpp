#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

#include "matfac/types.hpp"

namespace matfac {

/// Cache lines and the widest vectors are this long.
inline constexpr std::size_t kAlignment = 64;

/// Entries of T in 64 bytes: rows handed to the kernels are padded to a multiple of this.
template <class T>
inline constexpr Index kLanes = static_cast<Index>(kAlignment / sizeof(T));

/// The length of a row of `n` entries, padded for the kernels.
template <class T>
constexpr Index padded(Index n) {
  return (n + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

/// Asks the system to back large memory with large pages: rows are read in no order, and each small page that is not
/// in the processor's table of pages costs about as much as the row itself.
void advise_large_pages(void* memory, std::size_t bytes) noexcept;

/// A 64-byte aligned array of trivial T. `AlignedBuffer(n)` leaves its contents undefined; `zeros(n)` does not.
template <class T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(Index n) : size_(n) {
    if (n <= 0) return;
    data_.reset(static_cast<T*>(::operator new(bytes(), std::align_val_t{kAlignment})));
    advise_large_pages(data_.get(), bytes());
  }
  static AlignedBuffer zeros(Index n) {
    AlignedBuffer buffer(n);
    if (n > 0) std::memset(static_cast<void*>(buffer.data()), 0, buffer.bytes());
    return buffer;
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  T& operator[](Index i) { return data_.get()[i]; }
  const T& operator[](Index i) const { return data_.get()[i]; }
  Index size() const { return size_; }
  std::size_t bytes() const { return static_cast<std::size_t>(size_) * sizeof(T); }

 private:
  struct Free {
    void operator()(T* p) const { ::operator delete(static_cast<void*>(p), std::align_val_t{kAlignment}); }
  };
  std::unique_ptr<T, Free> data_;
  Index size_ = 0;
};

}  // namespace matfac
