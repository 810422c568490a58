#include <procyon/base/errors.hpp>

#include <cstring>

namespace procyon {
namespace {

std::string with_reason(const std::string& phase, int code, const std::string& detail) {
  std::string text = "cannot start processes (" + phase + "): " + detail;
  if (code != 0) text += std::string(": ") + strerrordesc_np(code);
  return text;
}

std::string crash_text(const WorkerCrashed::Death& death, std::size_t item, unsigned attempt) {
  std::string text = "worker " + std::to_string(death.pid);
  if (death.signal != 0) {
    const char* name = sigabbrev_np(death.signal);
    text += " was killed by signal " + std::to_string(death.signal);
    if (name != nullptr) text += std::string(" (SIG") + name + ")";
  } else {
    text += " exited with code " + std::to_string(death.exit_code);
  }
  return text + " while it ran item " + std::to_string(item) + " (attempt " +
         std::to_string(attempt) + ")";
}

}  // namespace

StartError::StartError(std::string phase, int code, const std::string& detail)
    : Error(with_reason(phase, code, detail)), phase_(std::move(phase)), code_(code) {}

RemoteError::RemoteError(std::string type_name, const std::string& what)
    : Error(what), type_name_(std::move(type_name)) {}

WorkerCrashed::WorkerCrashed(Death death, std::size_t item, unsigned attempt)
    : Error(crash_text(death, item, attempt)), death_(death), item_(item), attempt_(attempt) {}

}  // namespace procyon
