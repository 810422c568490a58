#include "engine/code.hpp"

#include "engine/layout.hpp"

#include <procyon/base/errors.hpp>

#include <link.h>

#include <algorithm>
#include <mutex>

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

struct Range {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};

struct Search {
  std::uintptr_t base;
  Range found;
};

int match_module(dl_phdr_info* info, std::size_t, void* data) {
  auto& search = *static_cast<Search*>(data);
  Range range{~std::uintptr_t{0}, 0};
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD) continue;
    const std::uintptr_t begin = info->dlpi_addr + segment.p_vaddr;
    range.begin = std::min(range.begin, begin);
    range.end = std::max(range.end, begin + segment.p_memsz);
  }
  if (range.begin != search.base) return 0;
  search.found = range;
  return 1;
}

// The range of the loaded module that begins at `base`; empty: there is none. Remembered, since a
// module that a pool's code lies in stays loaded.
Range loaded_module(std::size_t number, std::uintptr_t base) noexcept {
  thread_local Range known[max_modules];
  Range& range = known[number];
  if (range.begin == base) return range;
  Search search{base, {}};
  dl_iterate_phdr(match_module, &search);
  return range = search.found;
}

}  // namespace

CodeToken register_code(const void* module_base, const JobType* type) {
  const auto base = reinterpret_cast<std::uintptr_t>(module_base);
  Modules& modules = own_modules();
  const std::scoped_lock lock(modules.mutex);
  std::size_t number = 0;
  while (number < modules.count && modules.bases[number].load() != base) ++number;
  if (number == max_modules) {
    throw Error("callables come from more than " + std::to_string(max_modules) +
                " libraries; link some of them together");
  }
  if (number == modules.count) modules.bases[modules.count++].store(base);
  return std::uint64_t{number} << 48 | (reinterpret_cast<std::uintptr_t>(type) - base);
}

std::uintptr_t module_base(CodeToken code) noexcept {
  return own_modules().bases[module_of(code)].load(std::memory_order_acquire);
}

const JobType* find_code(CodeToken code, const std::atomic<std::uintptr_t>* modules) noexcept {
  const std::size_t number = module_of(code);
  if (number >= max_modules) return nullptr;
  const std::uintptr_t base = modules[number].load(std::memory_order_acquire);
  const std::uintptr_t offset = code & ((std::uint64_t{1} << 48) - 1);
  if (base == 0) return nullptr;
  const Range range = loaded_module(number, base);
  if (range.begin != base || offset > range.end - range.begin - sizeof(JobType)) return nullptr;
  const auto* type = reinterpret_cast<const JobType*>(base + offset);
  return type->magic == JobType::valid ? type : nullptr;
}

}  // namespace procyon::engine
