// An operand in private memory, copied to where other processes see it.
#pragma once

#include <procyon/linalg/gemm.hpp>

#include <cstddef>

namespace procyon::linalg {

/// A copy of an operand in the shared heap, with the same ld and stride. Only elements are
/// copied, never what lies between rows. Requires: the operand is checked. Throws
/// `SharedMemoryError`.
class SharedCopy {
 public:
  SharedCopy(const Operand& original, std::size_t count, Element element);
  ~SharedCopy();
  SharedCopy(const SharedCopy&) = delete;
  SharedCopy& operator=(const SharedCopy&) = delete;

  void copy_in();
  void copy_out();
  const Operand& shared() const noexcept { return shared_; }

 private:
  static void copy(const Operand& from, const Operand& to, std::size_t count, std::size_t size);
  Operand original_;
  Operand shared_;
  std::size_t count_;
  std::size_t size_;
};

}  // namespace procyon::linalg
