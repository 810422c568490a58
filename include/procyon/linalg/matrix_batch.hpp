// A batch of matrices of one shape in memory that somebody else owns.
#pragma once

#include <cstddef>

namespace procyon {

/// `count` row-major matrices, as they are stored: element (i, j) of matrix b is
/// `data[b * stride + i * ld + j]`. With `stride` 0 one matrix stands for all of a batch, however
/// many there are: `count` is not looked at then.
template <class T>
struct MatrixBatch {
  T* data = nullptr;
  std::size_t count = 0;
  std::size_t rows = 0;
  std::size_t cols = 0;
  std::size_t ld = cols;           ///< elements from one row to the next
  std::size_t stride = rows * ld;  ///< elements from one matrix to the next
};

template <class T>
MatrixBatch(T*, std::size_t, std::size_t, std::size_t) -> MatrixBatch<T>;
template <class T>
MatrixBatch(T*, std::size_t, std::size_t, std::size_t, std::size_t) -> MatrixBatch<T>;
template <class T>
MatrixBatch(T*, std::size_t, std::size_t, std::size_t, std::size_t, std::size_t) -> MatrixBatch<T>;

}  // namespace procyon
