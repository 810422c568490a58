#include "engine/code.hpp"

#include "engine/worker.hpp"

#include <procyon/base/errors.hpp>

#include <dlfcn.h>
#include <link.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <string_view>

namespace procyon::engine {
namespace {

struct Modules {
  std::mutex mutex;
  std::size_t count = 0;
  std::atomic<std::uintptr_t> bases[max_modules] = {};
};

Modules& own_modules() {
  static Modules modules;
  return modules;
}

/// A module that is loaded in this process.
struct Loaded {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  std::uint64_t fingerprint = 0;
  const char* path = "";  // the loader's
};

// FNV-1a.
std::uint64_t hash(std::string_view bytes, std::uint64_t seed = 0xcbf29ce484222325) noexcept {
  for (const char byte : bytes) {
    seed = (seed ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  }
  return seed;
}

// The linker's build-id; empty: it was linked without.
std::string_view build_id(const dl_phdr_info& info) noexcept {
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const auto& segment = info.dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const char* at = reinterpret_cast<const char*>(info.dlpi_addr + segment.p_vaddr);  // NOLINT
    const char* const end = at + segment.p_memsz;
    while (at + sizeof(ElfW(Nhdr)) <= end) {
      const auto* note = reinterpret_cast<const ElfW(Nhdr)*>(at);
      const char* name = at + sizeof *note;
      const char* text = name + (note->n_namesz + 3) / 4 * 4;
      const bool is_id = note->n_type == NT_GNU_BUILD_ID && note->n_namesz == sizeof "GNU" &&
                         std::memcmp(name, "GNU", sizeof "GNU") == 0;
      if (is_id) return {text, note->n_descsz};
      at = text + (note->n_descsz + 3) / 4 * 4;
    }
  }
  return {};
}

// Without a build-id the file itself says which build it is.
std::uint64_t fingerprint_of(const dl_phdr_info& info) noexcept {
  const std::string_view id = build_id(info);
  if (!id.empty()) return hash(id);
  struct stat file {};
  const char* path = info.dlpi_name[0] == 0 ? "/proc/self/exe" : info.dlpi_name;
  if (stat(path, &file) != 0) return hash(path);
  const std::uint64_t parts[] = {file.st_ino, static_cast<std::uint64_t>(file.st_size),
                                 static_cast<std::uint64_t>(file.st_mtim.tv_sec),
                                 static_cast<std::uint64_t>(file.st_mtim.tv_nsec)};
  return hash({reinterpret_cast<const char*>(parts), sizeof parts});
}

Loaded describe(const dl_phdr_info& info) noexcept {
  Loaded module{~std::uintptr_t{0}, 0, 0, info.dlpi_name};
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const auto& segment = info.dlpi_phdr[i];
    if (segment.p_type != PT_LOAD) continue;
    const std::uintptr_t begin = info.dlpi_addr + segment.p_vaddr;
    module.begin = std::min(module.begin, begin);
    module.end = std::max(module.end, begin + segment.p_memsz);
  }
  return module;
}

/// The first loaded module that `matches`, a function of `const Loaded&` that may complete it.
template <class Matches>
Loaded find_loaded(Matches matches) noexcept {
  struct Search {
    Matches& matches;
    Loaded found;
  } search{matches, {}};
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        auto& each = *static_cast<Search*>(data);
        Loaded module = describe(*info);
        if (!each.matches(module, *info)) return 0;
        module.fingerprint = fingerprint_of(*info);
        each.found = module;
        return 1;
      },
      &search);
  return search.found;
}

Loaded find_at(std::uintptr_t base) noexcept {
  return find_loaded(
      [base](const Loaded& module, const dl_phdr_info&) { return module.begin == base; });
}

Loaded find_build(std::uint64_t fingerprint) noexcept {
  return find_loaded([fingerprint](const Loaded&, const dl_phdr_info& info) {
    return fingerprint_of(info) == fingerprint;
  });
}

// In a copy of the submitter the module is where it was; elsewhere it is looked for.
Loaded find_module(const Module& wanted) noexcept {
  Loaded module = find_at(wanted.base);
  if (module.fingerprint == wanted.fingerprint) return module;
  module = find_build(wanted.fingerprint);
  if (module.begin != 0 || wanted.path()[0] == 0) return module;
  // Loaded for good: jobs to come have their code in it.
  if (dlopen(wanted.path(), RTLD_NOW | RTLD_LOCAL) == nullptr) return {};
  return find_build(wanted.fingerprint);
}

struct Known {
  std::uintptr_t base = 0;  // the submitter's
  std::uint64_t fingerprint = 0;
  Loaded module;
};

// Remembered, since a module that a pool's code lies in stays loaded.
const Loaded& module_here(std::size_t number, const Module& wanted) noexcept {
  thread_local Known known[max_modules];
  Known& each = known[number];
  const bool is_known =
      each.base == wanted.base && each.fingerprint == wanted.fingerprint && each.module.begin != 0;
  if (!is_known) each = {wanted.base, wanted.fingerprint, find_module(wanted)};
  return each.module;
}

// The number of a module of this process, given where it lies.
std::size_t number_of(std::uintptr_t base) {
  Modules& modules = own_modules();
  const std::scoped_lock lock(modules.mutex);
  std::size_t number = 0;
  while (number < modules.count && modules.bases[number].load() != base) ++number;
  if (number == max_modules) {
    throw Error("callables come from more than " + std::to_string(max_modules) +
                " libraries; link some of them together");
  }
  if (number == modules.count) modules.bases[modules.count++].store(base);
  return number;
}

// Where `size` bytes are that a token names; 0: nowhere in this process.
std::uintptr_t find_address(CodeToken code, const std::atomic<const Module*>* modules,
                            std::size_t size) noexcept {
  const std::size_t number = module_of(code);
  if (number >= max_modules) return 0;
  const Module* wanted = modules[number].load(std::memory_order_acquire);
  const std::uintptr_t offset = code & ((std::uint64_t{1} << 48) - 1);
  if (wanted == nullptr) return 0;
  const Loaded& module = module_here(number, *wanted);
  if (module.begin == 0 || offset > module.end - module.begin - size) return 0;
  return module.begin + offset;
}

template <class Record>
const Record* find_record(CodeToken code, const std::atomic<const Module*>* modules) noexcept {
  const std::uintptr_t address = find_address(code, modules, sizeof(Record));
  if (address % alignof(Record) != 0) return nullptr;
  const auto* record = reinterpret_cast<const Record*>(address);  // NOLINT
  return record != nullptr && record->magic == Record::valid ? record : nullptr;
}

CodeToken token_of(const void* module_base, const void* record) {
  const auto base = reinterpret_cast<std::uintptr_t>(module_base);
  return std::uint64_t{number_of(base)} << 48 | (reinterpret_cast<std::uintptr_t>(record) - base);
}

}  // namespace

CodeToken register_code(const void* module_base, const JobType* type) {
  return token_of(module_base, type);
}

CodeToken register_code(const void* module_base, const ProcessType* type) {
  return token_of(module_base, type);
}

CodeToken register_function(std::uintptr_t address) {
  thread_local Loaded last;
  if (address < last.begin || address >= last.end) {
    last = find_loaded([address](const Loaded& module, const dl_phdr_info&) {
      return address >= module.begin && address < module.end;
    });
  }
  if (last.begin == 0) {
    last = {};
    throw NotShareable(address == 0 ? "the callable is a null pointer to a function"
                                    : "the callable is a function in no file, which another "
                                      "process cannot have; use ThreadPool");
  }
  return std::uint64_t{number_of(last.begin)} << 48 | (address - last.begin);
}

ModuleIdentity identify_module(CodeToken code) {
  const std::uintptr_t base = own_modules().bases[module_of(code)].load(std::memory_order_acquire);
  const Loaded module = find_at(base);
  return {base, module.fingerprint, module.path};
}

const Module* make_module(CodeToken code, bool shared) {
  const ModuleIdentity identity = identify_module(code);
  void* block = allocate_block(shared, sizeof(Module) + identity.path.size() + 1);
  auto* module = ::new (block) Module{identity.base, identity.fingerprint};
  std::memcpy(module->path(), identity.path.c_str(), identity.path.size() + 1);
  return module;
}

const JobType* find_code(CodeToken code, const std::atomic<const Module*>* modules) noexcept {
  return find_record<JobType>(code, modules);
}

const ProcessType* find_process_code(CodeToken code,
                                     const std::atomic<const Module*>* modules) noexcept {
  return find_record<ProcessType>(code, modules);
}

std::uintptr_t find_function(CodeToken code, const std::atomic<const Module*>* modules) noexcept {
  return find_address(code, modules, 1);
}

void throw_unknown_code(CodeToken code, const std::atomic<const Module*>* modules) {
  const Module* module = modules[module_of(code)].load(std::memory_order_acquire);
  const bool is_named = module != nullptr && module->path()[0] != 0;
  throw NotShareable(std::string("the callable's code is in ") +
                     (is_named ? module->path() : "an executable") +
                     ", of which this worker process cannot have the same build: its file has "
                     "changed since it was loaded, or is gone");
}

}  // namespace procyon::engine
