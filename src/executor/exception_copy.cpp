#include <procyon/executor/exception.hpp>

#include <procyon/shm/heap.hpp>

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace procyon::detail {
namespace {

enum Mark : unsigned char { none, same_module, other_module };

constexpr std::uintptr_t lowest_address = 1 << 16;
constexpr std::uintptr_t highest_address = std::uintptr_t{1} << 47;

struct Query {
  std::uintptr_t address;
  std::uintptr_t home;
  Mark found;
};

bool lies_in(const dl_phdr_info& info, std::uintptr_t address) noexcept {
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const auto& segment = info.dlpi_phdr[i];
    const std::uintptr_t begin = info.dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_LOAD && address - begin < segment.p_memsz) return true;
  }
  return false;
}

int find_module(dl_phdr_info* info, std::size_t, void* data) {
  auto& query = *static_cast<Query*>(data);
  if (!lies_in(*info, query.address)) return 0;
  query.found = lies_in(*info, query.home) ? same_module : other_module;
  return 1;
}

bool is_mapped(std::uintptr_t address) {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  unsigned char resident = 0;
  void* const start = reinterpret_cast<void*>(address / page * page);  // NOLINT
  return mincore(start, 1, &resident) == 0 || errno != ENOMEM;
}

}  // namespace

bool mark_words(const void* object, std::size_t size, const void* skip, const void* home,
                unsigned char* marks) {
  const auto begin = reinterpret_cast<std::uintptr_t>(object);
  for (std::size_t i = 0; i < size / sizeof(std::uintptr_t); ++i) {
    const auto* word = static_cast<const std::uintptr_t*>(object) + i;
    if (word == skip) continue;
    Query query{0, reinterpret_cast<std::uintptr_t>(home), none};
    std::memcpy(&query.address, word, sizeof query.address);
    const std::uintptr_t address = query.address;
    if (address < lowest_address || address >= highest_address || address - begin < size) continue;
    dl_iterate_phdr(find_module, &query);
    marks[i] = query.found;
    // A handle's count would be lost with the failure: handles do not travel in exceptions.
    if (query.found == none && is_mapped(address)) return false;
  }
  return true;
}

bool relocate_words(void* object, std::size_t size, CopiedException& copied, const void* home,
                    const unsigned char* marks) noexcept {
  const std::uint64_t shift = reinterpret_cast<std::uintptr_t>(home) - copied.home;
  if (shift == 0) return true;
  for (std::size_t i = 0; i < size / sizeof(std::uintptr_t); ++i) {
    if (marks[i] == other_module) return false;
  }
  for (std::size_t i = 0; i < size / sizeof(std::uintptr_t); ++i) {
    if (marks[i] != same_module) continue;
    auto* word = static_cast<unsigned char*>(object) + i * sizeof(std::uintptr_t);
    std::uintptr_t address = 0;
    std::memcpy(&address, word, sizeof address);
    address += shift;
    std::memcpy(word, &address, sizeof address);
  }
  copied.home = reinterpret_cast<std::uintptr_t>(home);
  return true;
}

}  // namespace procyon::detail
