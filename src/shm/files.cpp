#include "shm/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <procyon/base/errors.hpp>

#include "shm/layout.hpp"
#include "shm/local.hpp"
#include "shm/members.hpp"
#include "shm/opening.hpp"
#include "shm/reservation.hpp"

namespace procyon::shm {
namespace {

/// What this process has mapped for an entry of the registry. Under the private mutex.
struct View {
  std::uint64_t generation = 0;  // 0: nothing
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};
std::array<View, max_files> views;
std::atomic<std::uint64_t> seen_version{0};

char* window_at(std::uint64_t offset) noexcept {
  return region.window.load(std::memory_order_relaxed) + offset;
}

std::size_t round_to_pages(std::size_t bytes) noexcept {
  static const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

bool is_program() noexcept { return self().slot == 1; }

[[noreturn]] void refuse(const std::string& what) {
  throw SharedMemoryError("mapping a file beside the shared heap: " + what);
}

/// Puts the file at its place. False: errno says why.
bool place(int fd, std::uint64_t offset, std::uint64_t bytes) noexcept {
  void* got = mmap(window_at(offset), bytes, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
  if (got == MAP_FAILED) return false;
  madvise(got, bytes, MADV_DONTDUMP);
  return true;
}

void clear_place(std::uint64_t offset, std::uint64_t bytes) noexcept {
  (void)mmap(window_at(offset), bytes, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

/// Ends an entry and this process's, the program's, mapping of it.
void drop(std::size_t index) noexcept {
  FileEntry& entry = region.header->files[index];
  entry.state.store(FileEntry::unused, std::memory_order_release);
  entry.generation.fetch_add(2, std::memory_order_release);
  region.header->files_version.fetch_add(1, std::memory_order_release);
  clear_place(entry.offset.load(std::memory_order_relaxed),
              round_to_pages(entry.bytes.load(std::memory_order_relaxed)));
  close(entry.fd.exchange(-1, std::memory_order_relaxed));
  views[index] = {};
}

/// Ends what other processes have left to the program.
void drop_abandoned() noexcept {
  for (std::size_t i = 0; i < max_files; ++i) {
    if (region.header->files[i].state.load(std::memory_order_acquire) == FileEntry::abandoned) {
      drop(i);
    }
  }
}

std::size_t unused_entry() {
  for (std::size_t i = 0; i < max_files; ++i) {
    if (region.header->files[i].state.load(std::memory_order_acquire) == FileEntry::unused) {
      return i;
    }
  }
  refuse(fmt::format("{} files are mapped already", max_files));
}

/// The first gap of the window that is large enough.
std::uint64_t find_gap(std::uint64_t bytes) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> taken;
  for (const View& view : views) {
    if (view.generation != 0) taken.emplace_back(view.offset, round_to_pages(view.bytes));
  }
  std::ranges::sort(taken);
  std::uint64_t begin = 0;
  for (const auto& [offset, length] : taken) {
    if (offset - begin >= bytes) return begin;
    begin = offset + length;
  }
  const std::size_t window = region.window_bytes.load(std::memory_order_relaxed);
  if (window - begin < bytes) {
    refuse(fmt::format("its {} bytes do not fit in the window of {} bytes", bytes, window));
  }
  return begin;
}

/// Tells the other processes.
void publish(std::size_t index, const View& view, int fd, const struct stat& status) noexcept {
  FileEntry& entry = region.header->files[index];
  entry.generation.fetch_add(1, std::memory_order_acq_rel);
  entry.fd.store(fd, std::memory_order_relaxed);
  entry.offset.store(view.offset, std::memory_order_relaxed);
  entry.bytes.store(view.bytes, std::memory_order_relaxed);
  entry.device.store(status.st_dev, std::memory_order_relaxed);
  entry.inode.store(status.st_ino, std::memory_order_relaxed);
  views[index] = view;
  views[index].generation = entry.generation.fetch_add(1, std::memory_order_release) + 1;
  entry.state.store(FileEntry::mapped, std::memory_order_release);
  region.header->files_version.fetch_add(1, std::memory_order_release);
}

/// The program's file, opened by this process; throws where it is not that file (any more).
int open_of_program(const FileEntry& entry, std::uint64_t generation) {
  const pid_t program = members()[1].pid.load(std::memory_order_relaxed);
  const std::string path =
      fmt::format("/proc/{}/fd/{}", program, entry.fd.load(std::memory_order_relaxed));
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const int error = errno;
  struct stat status {};
  const bool same = fd >= 0 && fstat(fd, &status) == 0 &&
                    status.st_dev == entry.device.load(std::memory_order_relaxed) &&
                    status.st_ino == entry.inode.load(std::memory_order_relaxed);
  if (same) return fd;
  if (fd >= 0) close(fd);
  if (entry.generation.load(std::memory_order_acquire) != generation) return -1;
  refuse(fmt::format("{}: {}", path, fd < 0 ? strerror(error) : "it is another file by now"));
}

/// Makes this process's view of one entry that of the registry.
void sync_entry(std::size_t index) {
  FileEntry& entry = region.header->files[index];
  View& view = views[index];
  const std::uint64_t generation = entry.generation.load(std::memory_order_acquire);
  const bool wanted = entry.state.load(std::memory_order_acquire) != FileEntry::unused;
  if (wanted && generation == view.generation) return;
  if (view.generation != 0) {
    clear_place(view.offset, round_to_pages(view.bytes));
    view = {};
  }
  if (!wanted || generation % 2 != 0) return;
  const View next{generation, entry.offset.load(std::memory_order_relaxed),
                  entry.bytes.load(std::memory_order_relaxed)};
  const int fd = open_of_program(entry, generation);
  // Changed meanwhile: then the version has changed as well, and the next call sees to it.
  if (fd < 0) return;
  const bool placed = entry.generation.load(std::memory_order_acquire) == generation &&
                      place(fd, next.offset, next.bytes);
  const int error = errno;
  close(fd);
  if (placed) view = next;
  if (!placed && entry.generation.load(std::memory_order_acquire) == generation) {
    refuse(fmt::format("mmap of {} bytes: {}", next.bytes, strerror(error)));
  }
}

}  // namespace

void* map_file(int fd, std::size_t bytes) {
  const std::lock_guard lock(local().mutex);
  open_locked();
  if (!is_program()) throw std::logic_error("map_file: only the program itself maps files");
  drop_abandoned();
  struct stat status {};
  if (fstat(fd, &status) != 0) refuse(strerror(errno));
  if (bytes == 0 || static_cast<std::uint64_t>(status.st_size) < bytes) {
    throw std::invalid_argument(fmt::format(
        "map_file: {} bytes of a file that has {}: ask for 1 to that many", bytes, status.st_size));
  }
  const std::size_t index = unused_entry();
  const View view{0, find_gap(round_to_pages(bytes)), bytes};
  const int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (own < 0) refuse(strerror(errno));
  if (!place(own, view.offset, bytes)) {
    const int error = errno;
    close(own);
    refuse(fmt::format("mmap of {} bytes: {}", bytes, strerror(error)));
  }
  publish(index, view, own, status);
  return window_at(view.offset);
}

void unmap_file(void* address) noexcept {
  if (is_stranger.load(std::memory_order_relaxed) || !heap_is_open()) return;
  const std::lock_guard lock(local().mutex);
  for (std::size_t i = 0; i < max_files; ++i) {
    if (views[i].generation == 0 || window_at(views[i].offset) != address) continue;
    if (is_program()) {
      drop(i);
      return;
    }
    std::uint32_t expected = FileEntry::mapped;
    FileEntry& entry = region.header->files[i];
    if (entry.generation.load(std::memory_order_acquire) == views[i].generation) {
      entry.state.compare_exchange_strong(expected, FileEntry::abandoned);
    }
    return;
  }
}

void sync_mappings() {
  if (!heap_is_open() || my_word() == 0) return;
  const std::uint64_t version = region.header->files_version.load(std::memory_order_acquire);
  if (version == seen_version.load(std::memory_order_relaxed) || is_program()) return;
  const std::lock_guard lock(local().mutex);
  for (std::size_t i = 0; i < max_files; ++i) sync_entry(i);
  seen_version.store(version, std::memory_order_relaxed);
}

bool in_mapped_file(const void* address, std::size_t bytes) noexcept {
  const char* window = region.window.load(std::memory_order_acquire);
  const auto offset = static_cast<const char*>(address) - window;
  if (window == nullptr || offset < 0 ||
      static_cast<std::size_t>(offset) >= region.window_bytes.load(std::memory_order_relaxed)) {
    return false;
  }
  std::unique_lock<std::mutex> lock;
  if (!is_stranger.load(std::memory_order_relaxed)) lock = std::unique_lock(local().mutex);
  const auto at = static_cast<std::uint64_t>(offset);
  return std::ranges::any_of(views, [&](const View& view) {
    return view.generation != 0 && at >= view.offset && at - view.offset <= view.bytes &&
           bytes <= view.bytes - (at - view.offset);
  });
}

bool files_are_mapped() noexcept {
  drop_abandoned();
  return std::ranges::any_of(views, [](const View& view) { return view.generation != 0; });
}

void reset_files() noexcept { seen_version.store(0, std::memory_order_relaxed); }

void forget_files() noexcept {
  std::ranges::fill(views, View{});
  reset_files();
}

}  // namespace procyon::shm
