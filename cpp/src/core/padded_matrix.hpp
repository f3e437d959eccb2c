#pragma once

#include <algorithm>
#include <cstdint>

#include "core/aligned.hpp"
#include "core/parallel.hpp"
#include "matfac/types.hpp"

namespace matfac {

/// How the rows of a matrix are visited. Rows that are fetched from anywhere must begin at a line of the cache: a row
/// that begins within one lies on one line more, and every other register of it across two. NumPy's large arrays begin
/// 16 bytes after a line.
enum class Access { in_order, anywhere };

/// A dense matrix whose rows are padded with zeros to whole vectors, as the kernels want them. It borrows the memory of
/// a view that already fits (no copy) and owns a copy otherwise.
template <class T>
class PaddedMatrix {
 public:
  /// Reads `source`, borrowing where the row length fits (and its beginning, for rows from anywhere).
  PaddedMatrix(MatrixView<T> source, int n_threads, Access access = Access::in_order)
      : source_(source), stride_(padded<std::remove_const_t<T>>(source.cols)) {
    const bool is_aligned = reinterpret_cast<std::uintptr_t>(source.data) % kAlignment == 0;
    if (stride_ == source.cols && (is_aligned || access == Access::in_order)) {
      data_ = source.data;
      return;
    }
    owned_ = AlignedBuffer<Value>(source.rows * stride_);
    data_ = owned_.data();
    parallel_chunks(source.rows, kChunk, n_threads, [&](Index begin, Index end, int) {
      for (Index i = begin; i < end; ++i) {
        Value* const row = owned_.data() + i * stride_;
        std::copy_n(source.row(i), source.cols, row);
        std::fill(row + source.cols, row + stride_, Value(0));
      }
    });
  }

  /// Copies the rows back to the source, unless they were borrowed.
  void write_back(int n_threads) {
    if (data_ == source_.data) return;
    parallel_chunks(source_.rows, kChunk, n_threads, [&](Index begin, Index end, int) {
      for (Index i = begin; i < end; ++i) std::copy_n(data_ + i * stride_, source_.cols, source_.row(i));
    });
  }

  T* data() const { return data_; }
  T* row(Index i) const { return data_ + i * stride_; }
  Index stride() const { return stride_; }
  Index rows() const { return source_.rows; }

 private:
  using Value = std::remove_const_t<T>;
  static constexpr Index kChunk = 4096;
  MatrixView<T> source_;
  Index stride_;
  AlignedBuffer<Value> owned_;
  T* data_ = nullptr;
};

}  // namespace matfac
