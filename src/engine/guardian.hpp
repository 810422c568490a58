// The guardian: one small process per program with pools. It sees the pools' members die and
// recovers what they held; a sleeping or computing program need not notice anything.
#pragma once

#include <memory>

namespace procyon::engine {

/// A share in this process's guardian: started with the first share, ended with the last.
/// Its loss is a normal event: `look_after` starts another, which does the work again.
class GuardianShare {
 public:
  /// Throws StartError.
  GuardianShare();
  ~GuardianShare();
  GuardianShare(const GuardianShare&) = delete;
  GuardianShare& operator=(const GuardianShare&) = delete;

  /// Replaces a guardian that has died. Throws StartError.
  void look_after();
  /// Where its attention is asked for: write eight bytes, not all zero.
  int bell() const noexcept;
  /// Tells it that the table of members has changed.
  void ring() const noexcept;

 private:
  struct Shared;
  static Shared& shared();
};

/// Tells a guardian by its bell.
void ring_bell(int bell) noexcept;

}  // namespace procyon::engine
