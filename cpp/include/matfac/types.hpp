#pragma once

#include <cstdint>

namespace matfac {

/// Offsets, counts and row numbers: 64 bits, so that 2^31 ratings and more are addressed.
using Index = std::int64_t;

/// The code of a user or an item: its row in a factor matrix, from 0. -1 stands for "unknown".
using Code = std::int32_t;

/// A dense matrix that somebody else owns: row-major, rows contiguous. Copying it copies the pointer.
/// Throughout, `T` is `float` or `double`.
template <class T>
struct MatrixView {
  T* data = nullptr;
  Index rows = 0;
  Index cols = 0;

  T* row(Index i) const { return data + i * cols; }
  Index size() const { return rows * cols; }
  operator MatrixView<const T>() const { return {data, rows, cols}; }
};

}  // namespace matfac
