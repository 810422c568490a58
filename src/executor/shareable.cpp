#include <procyon/base/errors.hpp>
#include <procyon/executor/shareable.hpp>
#include <procyon/shm/heap.hpp>

#include <fmt/format.h>

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

namespace procyon::detail {
namespace {

constexpr std::uintptr_t lowest_address = 1 << 16;  // vm.mmap_min_addr
constexpr std::uintptr_t highest_address = std::uintptr_t{1} << 47;

struct Constant {
  std::uintptr_t address;
  bool found;
};

// Segments that no process writes to after start-up: code, constants, relocated constants.
int find_constant(dl_phdr_info* info, std::size_t, void* data) {
  auto& query = *static_cast<Constant*>(data);
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& segment = info->dlpi_phdr[i];
    const bool constant = segment.p_type == PT_GNU_RELRO ||
                          (segment.p_type == PT_LOAD && (segment.p_flags & PF_W) == 0);
    const std::uintptr_t begin = info->dlpi_addr + segment.p_vaddr;
    if (constant && query.address >= begin && query.address < begin + segment.p_memsz) {
      query.found = true;
      return 1;
    }
  }
  return 0;
}

bool is_constant(std::uintptr_t address) {
  Constant query{address, false};
  dl_iterate_phdr(find_constant, &query);
  return query.found;
}

bool is_mapped(std::uintptr_t address) {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  unsigned char resident = 0;
  void* const start = reinterpret_cast<void*>(address / page * page);  // NOLINT
  return mincore(start, 1, &resident) == 0 || errno != ENOMEM;
}

// The kind of memory as /proc/self/maps tells it; for the message only.
std::string kind_of(std::uintptr_t address) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::istringstream fields(line);
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    char dash = 0;
    std::string permissions, offset, device, inode, name;
    fields >> std::hex >> begin >> dash >> end >> permissions >> offset >> device >> inode >> name;
    if (address < begin || address >= end) continue;
    if (name == "[stack]") return "the stack";
    if (name == "[heap]") return "this process's own heap";
    if (!name.empty() && name[0] == '/') return "a static variable";
    return "this process's own memory (heap, or the stack of a thread)";
  }
  return "this process's own memory";
}

}  // namespace

void check_words(const void* object, std::size_t size, const char* what) {
  const auto* bytes = static_cast<const unsigned char*>(object);
  for (std::size_t offset = 0; offset + sizeof(std::uintptr_t) <= size;
       offset += sizeof(std::uintptr_t)) {
    std::uintptr_t word = 0;
    std::memcpy(&word, bytes + offset, sizeof word);
    if (word < lowest_address || word >= highest_address) continue;
    if (shm::contains(reinterpret_cast<const void*>(word)) ||  // NOLINT
        !is_mapped(word) || is_constant(word)) {
      continue;
    }
    throw NotShareable(fmt::format(
        "{}: the word at offset {} is an address in {}, which worker processes do not share. "
        "Capture or pass the value itself, put what it refers to in shared memory "
        "(procyon::Array), or use ThreadPool",
        what, offset, kind_of(word)));
  }
}

}  // namespace procyon::detail
