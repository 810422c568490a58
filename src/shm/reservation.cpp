#include "shm/reservation.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>

#include <procyon/base/errors.hpp>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace procyon::shm {

Region region;

namespace {

/// Sizes of the regions for so many chunks of data.
struct Plan {
  std::uint32_t chunks = 0;
  std::size_t books() const { return align(std::size_t{chunks} * sizeof(Chunk)); }
  std::size_t words() const { return align(std::size_t{chunks} * word_bytes_per_chunk); }
  std::size_t data() const { return align(std::size_t{chunks} * chunk_bytes); }
  std::size_t window() const { return align(data() / 4); }
  std::size_t file() const { return region_align + books() + words() + data(); }
  std::size_t all() const { return file() + window(); }
  static std::size_t align(std::size_t bytes) {
    return (bytes + region_align - 1) / region_align * region_align;
  }
};

[[noreturn]] void refuse(const std::string& what) { throw SharedMemoryError(what); }

int make_file() {
  int fd = memfd_create("procyon", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) fd = memfd_create("procyon", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) refuse(fmt::format("the shared heap's file: memfd_create: {}", strerror(errno)));
  return fd;
}

/// An address to try. On x86-64 the window is free under all sanitizers and valgrind; elsewhere,
/// and at the last tries, somewhere below the kernel's own choice.
char* candidate(std::size_t bytes, int attempt, std::random_device& random) {
  std::uintptr_t low = 0x7e8000000000;
  std::uintptr_t high = 0x7ef000000000;
#if defined(__x86_64__)
  const bool probe = attempt >= 8;
#else
  const bool probe = attempt >= 0;
#endif
  if (probe) {
    void* place = mmap(nullptr, bytes + region_align, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED) return nullptr;
    munmap(place, bytes + region_align);
    high = reinterpret_cast<std::uintptr_t>(place) + bytes + region_align;
    low = high - bytes - region_align;
  }
  const std::uint64_t slots = (high - low - bytes) / region_align;
  const std::uint64_t slot =
      (std::uint64_t{random()} << 32 | random()) % std::max<std::uint64_t>(slots, 1);
  low = (low + region_align - 1) / region_align * region_align;
  return reinterpret_cast<char*>(low + slot * region_align);  // NOLINT(performance-no-int-to-ptr)
}

bool map_at(char* address, std::size_t bytes, int protection, int flags, int fd) {
  void* got = mmap(address, bytes, protection, flags | MAP_NORESERVE | MAP_FIXED_NOREPLACE, fd, 0);
  if (got == address) return true;
  if (got != MAP_FAILED) {  // a kernel before 4.17 takes the address as a hint
    munmap(got, bytes);
    errno = EEXIST;
  }
  return false;
}

/// Maps heap and file window side by side; null: not at any address tried.
char* map_somewhere(const Plan& plan, int fd) {
  std::random_device random;
  for (int attempt = 0; attempt < 12; ++attempt) {
    char* base = candidate(plan.all(), attempt, random);
    if (base == nullptr) return nullptr;
    if (!map_at(base, plan.file(), PROT_READ | PROT_WRITE, MAP_SHARED, fd)) {
      if (errno == ENOMEM) return nullptr;
      continue;
    }
    if (map_at(base + plan.file(), plan.window(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1)) {
      return base;
    }
    const bool too_large = errno == ENOMEM;
    munmap(base, plan.file());
    if (too_large) return nullptr;
  }
  return nullptr;
}

/// The largest plan that maps. Going past RLIMIT_FSIZE would be a signal, so it is asked first.
Plan map_largest(int fd, char*& base) {
  rlimit size{};
  const bool limited = getrlimit(RLIMIT_FSIZE, &size) == 0 && size.rlim_cur != RLIM_INFINITY;
  for (Plan plan{max_chunks}; plan.chunks >= min_chunks; plan.chunks /= 2) {
    if (limited && plan.file() > size.rlim_cur) continue;
    if (ftruncate(fd, static_cast<off_t>(plan.file())) != 0) continue;
    base = map_somewhere(plan, fd);
    if (base != nullptr) return plan;
  }
  close(fd);
  refuse(fmt::format(
      "no address range for the shared heap: not even {} MiB could be mapped (RLIMIT_FSIZE is {}; "
      "see `ulimit -f` and `ulimit -v`)",
      Plan{min_chunks}.all() >> 20,
      limited ? fmt::format("{} bytes", size.rlim_cur) : std::string("unlimited")));
}

/// A limit that somebody asked for is held or refused, never lowered unseen.
void require_limit(const Plan& plan, char* base, int fd, std::size_t limit) {
  if (limit_asked_for() == nullptr || limit <= plan.data()) return;
  munmap(base, plan.all());
  close(fd);
  refuse(fmt::format(
      "PROCYON_SHARED_MEMORY is \"{}\", and this process can reserve {}M for the shared "
      "heap; set it to that or less, or raise `ulimit -v` and `ulimit -f`",
      limit_asked_for(), plan.data() >> 20));
}

void publish(const Plan& plan, char* base, int fd, std::size_t limit) {
  region.fd = fd;
  region.limit = std::min(limit, plan.file());
  region.header = reinterpret_cast<Header*>(base);
  region.chunks = reinterpret_cast<Chunk*>(base + region_align);
  region.words = reinterpret_cast<Word*>(base + region_align + plan.books());
  region.data_bytes.store(plan.data(), std::memory_order_relaxed);
  region.window_bytes.store(plan.window(), std::memory_order_relaxed);
  region.data.store(base + region_align + plan.books() + plan.words(), std::memory_order_relaxed);
  region.window.store(base + plan.file(), std::memory_order_relaxed);
  region.base.store(base, std::memory_order_release);
}

/// Whole pages of the file: those that an address range touches, or those inside it.
struct FileRange {
  off_t first;
  off_t bytes;
};
enum class Pages { touched, inside };
FileRange file_range(const void* address, std::size_t bytes, Pages pages) noexcept {
  static const off_t page = sysconf(_SC_PAGESIZE);
  const off_t begin =
      static_cast<const char*>(address) - reinterpret_cast<const char*>(region.header);
  const off_t end = begin + static_cast<off_t>(bytes);
  const off_t up = page - 1;
  const off_t first = (pages == Pages::touched ? begin : begin + up) / page * page;
  const off_t last = (pages == Pages::touched ? end + up : end) / page * page;
  return {first, std::max<off_t>(last - first, 0)};
}

/// Backs in pieces: fallocate starts anew after a signal, so a piece must fit between two signals.
int fallocate_pieces(FileRange range) noexcept {
  constexpr off_t piece = off_t{16} << 20;
  for (off_t done = 0; done < range.bytes; done += piece) {
    const off_t bytes = std::min(piece, range.bytes - done);
    while (fallocate(region.fd, 0, range.first + done, bytes) != 0) {
      if (errno != EINTR) return errno;
    }
  }
  return 0;
}

void punch(FileRange range) noexcept {
  while (range.bytes > 0 &&
         fallocate(region.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, range.first,
                   range.bytes) != 0 &&
         errno == EINTR) {
  }
}

}  // namespace

void reserve() {
  const std::size_t limit = memory_limit();
  const int fd = make_file();
  char* base = nullptr;
  const Plan plan = map_largest(fd, base);
  require_limit(plan, base, fd, limit);
  madvise(base, plan.all(), MADV_DONTDUMP);
  fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  publish(plan, base, fd, limit);
  try {
    back_pages(region.header, sizeof(Header));
  } catch (...) {
    unreserve();
    throw;
  }
  region.header->version = layout_version;
  region.header->chunks = plan.chunks;
}

void map_existing(int fd, const HeapTicket& ticket) {
  const Plan plan{ticket.chunks};
  char* const base = reinterpret_cast<char*>(ticket.base);  // NOLINT(performance-no-int-to-ptr)
  const bool mapped = map_at(base, plan.file(), PROT_READ | PROT_WRITE, MAP_SHARED, fd);
  if (!mapped ||
      !map_at(base + plan.file(), plan.window(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1)) {
    const int error = errno;
    if (mapped) munmap(base, plan.file());
    refuse(fmt::format("the shared heap cannot be mapped at {} in this process: {}",
                       static_cast<const void*>(base), strerror(error)));
  }
  madvise(base, plan.all(), MADV_DONTDUMP);
  publish(plan, base, fd, ticket.limit);
  if (region.header->version == layout_version && region.header->chunks == plan.chunks) return;
  unreserve();
  refuse("the shared heap was made by another version of this library");
}

void unreserve() noexcept {
  char* base = region.base.exchange(nullptr, std::memory_order_acq_rel);
  char* end = region.window.exchange(nullptr) + region.window_bytes.exchange(0);
  region.data.store(nullptr);
  region.data_bytes.store(0);
  munmap(base, static_cast<std::size_t>(end - base));
  if (region.fd >= 0) close(region.fd);
  region.fd = -1;
}

std::size_t backed_bytes() noexcept {
  struct stat status {};
  return fstat(region.fd, &status) == 0 ? static_cast<std::size_t>(status.st_blocks) * 512 : 0;
}

void back_pages(const void* address, std::size_t bytes) {
  const FileRange range = file_range(address, bytes, Pages::touched);
  const auto need = static_cast<std::size_t>(range.bytes);
  const std::size_t before = backed_bytes();
  int error = 0;
  const bool fits = before <= region.limit && need <= region.limit - before;
  if (fits) {
    error = fallocate_pieces(range);
    // The page of a book may have neighbours that were there before: only data is given back.
    if (error == 0 && (backed_bytes() <= region.limit || !in_data(address))) return;
    if (in_data(address)) punch(range);
  }
  const std::string reason =
      error != 0 ? fmt::format("the kernel refuses: {}", strerror(error))
                 : fmt::format("the limit is {} bytes; free memory or raise PROCYON_SHARED_MEMORY",
                               region.limit);
  refuse(fmt::format("the shared heap holds {} bytes and cannot have {} more: {}", before, need,
                     reason));
}

void unback_pages(const void* address, std::size_t bytes) noexcept {
  punch(file_range(address, bytes, Pages::inside));
}

}  // namespace procyon::shm
