// How much memory the heap may take.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>

#include "shm/reservation.hpp"

namespace procyon::shm {
namespace {

constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

std::size_t parse_limit(std::string_view text) {
  const auto refuse = [&] {
    throw std::invalid_argument(
        fmt::format("PROCYON_SHARED_MEMORY is \"{}\": it must be a number of bytes above 0, or one "
                    "with K, M or G, such as 512M",
                    text));
  };
  std::size_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || number == 0) refuse();
  std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  unsigned shift = 0;
  if (unit == "K" || unit == "k") shift = 10;
  if (unit == "M" || unit == "m") shift = 20;
  if (unit == "G" || unit == "g") shift = 30;
  if (shift == 0 && !unit.empty()) refuse();
  if (number > unlimited >> shift) refuse();
  if (number << shift > std::size_t{max_chunks} * chunk_bytes) {
    throw std::invalid_argument(fmt::format(
        "PROCYON_SHARED_MEMORY is \"{}\": the shared heap has at most {}G; set it to that or less",
        text, std::size_t{max_chunks} * chunk_bytes >> 30));
  }
  return number << shift;
}

/// The number in a file of one word; `unlimited` where there is none.
std::size_t number_in(const std::string& path) {
  std::ifstream file(path);
  std::size_t number = 0;
  return file >> number ? number : unlimited;
}

/// The least limit of a control group and its ancestors.
std::size_t least_limit(const std::string& root, std::string group, const std::string& file) {
  std::size_t least = unlimited;
  for (;;) {
    least = std::min(least, number_in(root + group + file));
    if (group.empty()) return least;
    group.erase(group.rfind('/'));
  }
}

std::size_t group_limit() {
  std::size_t least = unlimited;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const auto path = line.find(":/");
    if (path == std::string::npos) continue;
    std::string group = line.substr(path + 1);
    if (group == "/") group.clear();
    if (line.starts_with("0::")) {
      least = std::min(least, least_limit("/sys/fs/cgroup", group, "/memory.max"));
    } else if (line.substr(0, path).ends_with(":memory")) {
      const std::string root = "/sys/fs/cgroup/memory";
      least = std::min(least, least_limit(root, group, "/memory.limit_in_bytes"));
    }
  }
  return least;
}

std::size_t available_memory() {
  std::ifstream info("/proc/meminfo");
  for (std::string line; std::getline(info, line);) {
    constexpr std::string_view key = "MemAvailable:";
    if (line.starts_with(key)) {
      return std::strtoull(line.c_str() + key.size(), nullptr, 10) << 10;
    }
  }
  return unlimited;
}

}  // namespace

const char* limit_asked_for() noexcept {
  const char* text = std::getenv("PROCYON_SHARED_MEMORY");
  return text == nullptr || *text == '\0' ? nullptr : text;
}

std::size_t memory_limit() {
  if (const char* text = limit_asked_for()) return parse_limit(text);
  const std::size_t least = std::min(group_limit(), available_memory());
  return least == unlimited ? unlimited : least / 5 * 4;
}

}  // namespace procyon::shm
