#include <procyon/base/errors.hpp>
#include <procyon/executor/shareable.hpp>
#include <procyon/shm/heap.hpp>

#include <fmt/format.h>

#include <link.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>

// AddressSanitizer's, where the program has it.
extern "C" __attribute__((weak)) void __asan_get_shadow_mapping(std::size_t* scale,  // NOLINT
                                                                std::size_t* offset);

namespace procyon::detail {
namespace {

constexpr std::uintptr_t lowest_address = 1 << 16;  // vm.mmap_min_addr
constexpr std::uintptr_t highest_address = std::uintptr_t{1} << 47;

thread_local bool checked_for_images = true;

/// What is known of an address from the modules that are loaded.
struct Place {
  std::uintptr_t address;
  bool is_constant = false;  // no process writes to it after start-up: code, constants
  bool is_fixed = false;     // the module lies at the same address in every process
  bool is_static = false;
  bool is_thread_local = false;  // of the calling thread
};

bool lies_in(std::uintptr_t address, std::uintptr_t begin, std::size_t size) noexcept {
  return address >= begin && address - begin < size;
}

int look_at_module(dl_phdr_info* info, std::size_t size, void* data) {
  auto& place = *static_cast<Place*>(data);
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& segment = info->dlpi_phdr[i];
    if (segment.p_type == PT_TLS && size >= sizeof *info && info->dlpi_tls_data != nullptr) {
      const auto begin = reinterpret_cast<std::uintptr_t>(info->dlpi_tls_data);
      place.is_thread_local |= lies_in(place.address, begin, segment.p_memsz);
    }
    if (!lies_in(place.address, info->dlpi_addr + segment.p_vaddr, segment.p_memsz)) continue;
    if (segment.p_type == PT_GNU_RELRO) place.is_constant = true;
    if (segment.p_type != PT_LOAD) continue;
    place.is_static = true;
    place.is_constant |= (segment.p_flags & PF_W) == 0;
    place.is_fixed = info->dlpi_addr == 0;
  }
  return place.is_static || place.is_thread_local ? 1 : 0;
}

Place place_of(std::uintptr_t address) {
  Place place{address};
  dl_iterate_phdr(look_at_module, &place);
  return place;
}

// No object of a program lies in there, and yet all of it is mapped.
bool is_shadow_of_sanitizer(std::uintptr_t address) {
  constexpr std::uintptr_t address_bits = 47;
  std::size_t scale = 0;
  std::size_t begin = 0;
  if (__asan_get_shadow_mapping != nullptr) __asan_get_shadow_mapping(&scale, &begin);
  return begin != 0 && lies_in(address, begin, std::size_t{1} << (address_bits - scale));
}

bool is_mapped(std::uintptr_t address) {
  if (is_shadow_of_sanitizer(address)) return false;
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  unsigned char resident = 0;
  void* const start = reinterpret_cast<void*>(address / page * page);  // NOLINT
  return mincore(start, 1, &resident) == 0 || errno != ENOMEM;
}

bool is_on_own_stack(std::uintptr_t address) {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return false;
  void* begin = nullptr;
  std::size_t size = 0;
  pthread_attr_getstack(&attributes, &begin, &size);
  pthread_attr_destroy(&attributes);
  return lies_in(address, reinterpret_cast<std::uintptr_t>(begin), size);
}

/// What to say of an address, and what to do about it.
struct Kind {
  const char* name;
  const char* cure;
};

constexpr const char* heap_cure =
    "A std::vector, a long std::string and a smart pointer own such memory: pass them as "
    "arguments, "
    "which are serialised, instead of capturing them";
constexpr const char* stack_cure = "Capture or pass the value itself and not its address";
constexpr Kind own_stack{"the stack of the calling thread", stack_cure};
constexpr Kind other_stack{"the stack of another thread", stack_cure};
constexpr Kind thread_variable{"a thread-local variable", "Capture or pass its value"};
constexpr Kind static_variable{
    "a static variable",
    "Every process has one of its own: name it inside the callable if that is meant, or capture "
    "its value"};
constexpr Kind heap{"this process's own heap", heap_cure};
constexpr Kind mapped_file{"a file mapped by this process", "Map it in the task"};

// By /proc/self/maps; for the message only. The stack of a thread lies right behind its guard, a
// mapping that nobody may touch; an arena of malloc's begins at a multiple of its largest size.
Kind kind_by_maps(std::uintptr_t address) {
  constexpr std::uintptr_t arena = 64 << 20;
  std::ifstream maps("/proc/self/maps");
  std::uintptr_t guard_end = 0;
  for (std::string line; std::getline(maps, line);) {
    std::istringstream fields(line);
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    char dash = 0;
    std::string permissions, offset, device, inode, name;
    fields >> std::hex >> begin >> dash >> end >> permissions >> offset >> device >> inode >> name;
    if (lies_in(address, begin, end - begin)) {
      if (name == "[stack]") return other_stack;
      if (!name.empty() && name[0] == '/') return mapped_file;
      const bool behind_guard = begin == guard_end && begin % arena != 0;
      return name.empty() && behind_guard ? other_stack : heap;
    }
    guard_end = permissions.starts_with("---") && name.empty() ? end : 0;
  }
  return heap;
}

Kind kind_of(const Place& place) {
  if (place.is_thread_local) return thread_variable;
  if (place.is_static) return static_variable;
  if (is_on_own_stack(place.address)) return own_stack;
  return kind_by_maps(place.address);
}

[[noreturn]] void refuse(const char* what, std::size_t offset, const Place& place) {
  const Kind kind = kind_of(place);
  throw NotShareable(fmt::format(
      "{}: the word at offset {} is an address in {}, which worker processes do not share. {}, put "
      "what it refers to in shared memory (procyon::Array), or use ThreadPool",
      what, offset, kind.name, kind.cure));
}

[[noreturn]] void refuse_constant(const char* what, std::size_t offset) {
  throw NotShareable(fmt::format(
      "{}: the word at offset {} is the address of a function or a constant of this process, and "
      "workers that are not forked from it have them elsewhere. Capture a lambda instead of a "
      "pointer to a function, a std::string instead of a pointer to a literal or a "
      "std::string_view of one, or name them inside the callable; or use StartMethod::fork",
      what, offset));
}

[[noreturn]] void refuse_inherited(const char* what, std::size_t offset) {
  throw NotShareable(
      fmt::format("{}: the pointer at offset {} is inherited(), and only workers that are forked "
                  "from this process have what it points to: use StartMethod::fork, or put it in "
                  "shared memory (procyon::Array)",
                  what, offset));
}

}  // namespace

CheckedFor::CheckedFor(bool images) noexcept : before_(std::exchange(checked_for_images, images)) {}
CheckedFor::~CheckedFor() { checked_for_images = before_; }
bool CheckedFor::images() noexcept { return checked_for_images; }

void check_words(const void* object, std::size_t size, const char* what, bool images) {
  const auto* bytes = static_cast<const unsigned char*>(object);
  for (std::size_t offset = 0; offset + sizeof(std::uintptr_t) <= size;
       offset += sizeof(std::uintptr_t)) {
    std::uintptr_t word = 0;
    std::memcpy(&word, bytes + offset, sizeof word);
    if (word == inherited_mark && !images) refuse_inherited(what, offset + sizeof word);
    if (word < lowest_address || word >= highest_address) continue;
    if (shm::contains(reinterpret_cast<const void*>(word)) || !is_mapped(word)) continue;  // NOLINT
    const Place place = place_of(word);
    if (!place.is_constant) refuse(what, offset, place);
    if (!images && !place.is_fixed) refuse_constant(what, offset);
  }
}

}  // namespace procyon::detail
