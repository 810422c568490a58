#include "engine/process_main.hpp"

#include "engine/code.hpp"
#include "engine/guardian.hpp"
#include "engine/launch.hpp"
#include "process/process.hpp"
#include "shm/files.hpp"
#include "shm/layout.hpp"
#include "shm/members.hpp"

#include <fmt/format.h>

#include <cxxabi.h>
#include <poll.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <memory>
#include <string_view>
#include <typeinfo>

namespace procyon {
namespace engine {
namespace {

using process::Descriptor;
using shm::Member;
using shm::MemberId;
using shm::MemberKind;

constexpr const char* program_name = "MainProcess";

/// Who this process is; the program until it is told otherwise.
struct Self {
  std::string name = program_name;
  std::string identity;
  bool daemon = false;
  std::optional<ProcessInfo> parent;
};

Self& self() {
  static Self& the_one = *new Self;  // asked for by exit handlers
  return the_one;
}

std::string worker_name(std::uint32_t index) { return fmt::format("PoolWorker-{}", index + 1); }

// By the table of members: nothing else is the same for Processes and workers, however they began.
std::optional<ProcessInfo> look_up_parent() {
  const Member* member = &shm::members()[shm::self().slot];
  do {
    const MemberId parent = shm::word_member(member->parent.load(std::memory_order_acquire));
    if (parent == MemberId{}) return {};
    member = &shm::members()[parent.slot];
  } while (member->kind.load() == static_cast<std::uint32_t>(MemberKind::zygote));
  const pid_t pid = member->pid.load(std::memory_order_acquire);
  switch (static_cast<MemberKind>(member->kind.load(std::memory_order_acquire))) {
    case MemberKind::worker:
      return ProcessInfo(worker_name(member->index.load()), pid, true);
    case MemberKind::process: {
      const auto& record = *reinterpret_cast<const ProcessRecord*>(member->pool.load());  // NOLINT
      return ProcessInfo(std::string(record.name_text()), pid, record.daemon != 0);
    }
    default:
      return ProcessInfo(program_name, pid, false);
  }
}

std::string readable_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> demangled(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), std::free);
  std::string name = status == 0 ? demangled.get() : type.name();
  // What came from a pool's worker has its place with it.
  for (const std::string_view wrapper :
       {"procyon::engine::Placed<", "procyon::engine::PlacedWithText<"}) {
    if (name.starts_with(wrapper))
      name = name.substr(wrapper.size(), name.size() - wrapper.size() - 1);
  }
  return name;
}

// As std::terminate says it, with the name of the process before it; in one piece.
void report_exception() {
  const std::type_info* type = abi::__cxa_current_exception_type();
  std::string text =
      fmt::format("Process {}: terminate called after throwing an instance of '{}'\n", self().name,
                  type == nullptr ? "unknown type" : readable_name(*type));
  try {
    throw;
  } catch (const std::exception& error) {
    text += fmt::format("  what():  {}\n", error.what() == nullptr ? "" : error.what());
  } catch (...) {
    // Nothing more is known of it.
  }
  process::flush_output();
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
}

ProcessRecord* own_record = nullptr;

void leave(int code, void*) {
  end_children();
  process::flush_output();
  own_record->reported.store((static_cast<std::uint32_t>(code) & 0xff) + 1,
                             std::memory_order_release);
  _exit(code);
}

void become_self(ProcessRecord& record) {
  own_record = &record;
  self() = {std::string(record.name_text()),
            std::string(record.identity.data, record.identity.size), record.daemon != 0,
            look_up_parent()};
}

[[noreturn]] void run(ProcessRecord& record, int bell, const std::function<int()>& body) {
  GuardianShare::use_program_guardian(bell);
  ring_bell(bell);  // from now on it is to be watched
  become_self(record);
  process::empty_standard_input();
  on_exit(leave, nullptr);
  int code = 1;
  try {
    shm::sync_mappings();
    code = body();
  } catch (...) {
    report_exception();
  }
  std::exit(code);
}

}  // namespace

std::uintptr_t CodeFinder::find_function(CodeToken code) const {
  const std::uintptr_t address = engine::find_function(code, modules_);
  if (address != 0) return address;
  throw_unknown_code(code, modules_);
}

void run_forked_process(ProcessRecord& record, const ForkedFrom& from, ProcessCall& call) {
  process::ignore_only(record.ignored);
  const std::string name(record.name_text());
  const bool wanted = process::set_up_child(name.c_str(), from.by_main_thread ? from.parent : 0);
  if (!wanted || getppid() != from.parent) _exit(1);
  forget_server();
  run(record, from.bell, [&call] { return call.run(); });
}

void run_launched_process(ProcessRecord& record, Descriptor parent, int bell) {
  process::close_others({parent.get(), bell, shm::heap_descriptor()});
  process::ignore_only(record.ignored);
  process::set_up_child(std::string(record.name_text()).c_str(), 0);
  // It is a member by now: who dies later is seen by the guardian.
  pollfd event{parent.get(), POLLIN, 0};
  if (poll(&event, 1, 0) != 0) _exit(1);
  parent.reset();
  run(record, bell, [&record] {
    const ProcessType* type = find_process_code(record.code, record.modules);
    if (type == nullptr) throw_unknown_code(record.code, record.modules);
    return type->run(record.payload, CodeFinder(record.modules));
  });
}

std::string own_identity() { return self().identity; }

void become_pool_worker(std::uint32_t index) {
  forget_children();
  self() = {worker_name(index), std::to_string(index + 1), true, look_up_parent()};
}

}  // namespace engine

ProcessInfo current_process() {
  const engine::Self& self = engine::self();
  return {self.name, getpid(), self.daemon};
}

std::optional<ProcessInfo> parent_process() { return engine::self().parent; }

}  // namespace procyon
