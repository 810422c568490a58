// A picture of what the workers did, and when.
#pragma once

#include <filesystem>
#include <memory>

namespace procyon {

/// While it lives, every task of every pool of this process is recorded; its destructor writes the
/// events to a file that Perfetto (ui.perfetto.dev) and chrome://tracing open: one row a worker,
/// one bar a task or a batch of tasks so short that they run as one. Tasks of pools that a task
/// makes are not recorded.
///
/// The file is written whole or not at all; one at `path` is replaced. A worker that dies leaves
/// the events of its tasks, the one it died in without an end. The number of events is bounded:
/// the file says how many were dropped ("dropped" in "otherData").
///
/// Throws `std::system_error` where the file cannot be written, Error while another Trace lives,
/// SharedMemoryError. In a child that the process forked it does nothing.
class Trace {
 public:
  explicit Trace(const std::filesystem::path& path);
  /// A file that can no longer be written, on a full disk, is left out.
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace procyon
