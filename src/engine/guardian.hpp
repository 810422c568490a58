// The guardian: one small process per program with pools. It sees the pools' members die and
// recovers what they held; a sleeping or computing program need not notice anything.
#pragma once

#include "base/descriptor.hpp"
#include "shm/members.hpp"

namespace procyon::engine {

/// A share in the guardian of this program: started with the program's first share, ended with its
/// last. Its loss is a normal event: `look_after` starts another, which does the work again. In
/// processes that the program started, which may have pools of their own, the program's guardian is
/// used, and kept by the program.
class GuardianShare {
 public:
  /// Throws StartError.
  GuardianShare();
  ~GuardianShare();
  GuardianShare(const GuardianShare&) = delete;
  GuardianShare& operator=(const GuardianShare&) = delete;

  /// Replaces a guardian that has died. Throws StartError: there is none until a later call.
  void look_after();
  /// Where its attention is asked for: write eight bytes, not all zero.
  int bell() const noexcept;
  /// Tells it that the table of members has changed.
  void ring() const noexcept;

  enum class Patience { endless, limited };
  /// Waits until the guardian has recovered what that member held, and its slot is nobody's; with
  /// `limited` patience for a second at most where another process keeps the guardian, and may be
  /// too busy to replace it. Requires: this process has reserved the slot, and the member is
  /// confirmed dead or never began.
  void wait_for_burial(shm::MemberId id, Patience patience) noexcept;

  /// In a started process, first of all: the bell of the program's guardian, which stays open.
  static void use_program_guardian(int bell) noexcept;

 private:
  struct Shared;
  static Shared& shared();
};

/// Tells a guardian by its bell.
void ring_bell(int bell) noexcept;

/// The guardian's whole life, in a process of its own. `program`: a pidfd.
int run_guardian(base::Descriptor program, int bell);

}  // namespace procyon::engine
