#include <procyon/base/cpus.hpp>

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>

namespace procyon {
namespace {

std::size_t affinity_cpus() {
  // The kernel refuses a mask smaller than its own, so grow it until it fits.
  for (int cpus = CPU_SETSIZE; cpus <= CPU_SETSIZE * 64; cpus *= 2) {
    cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(cpus));
    if (set == nullptr) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(cpus));
    const bool known = sched_getaffinity(0, bytes, set) == 0;
    const int count = known ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (known) return static_cast<std::size_t>(std::max(count, 1));
  }
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? static_cast<std::size_t>(online) : 1;
}

// cgroup v2: "QUOTA PERIOD" or "max PERIOD" in every ancestor's cpu.max; the least one counts.
double quota_v2(std::string group) {
  double least = std::numeric_limits<double>::infinity();
  for (;;) {
    std::ifstream file("/sys/fs/cgroup" + group + "/cpu.max");
    std::string quota;
    double period = 0;
    if (file >> quota >> period && quota != "max" && period > 0) {
      least = std::min(least, std::strtod(quota.c_str(), nullptr) / period);
    }
    if (group.empty()) return least;
    group.erase(group.rfind('/'));
  }
}

double quota_v1(const std::string& group) {
  const std::string folder = "/sys/fs/cgroup/cpu" + group;
  std::ifstream quota_file(folder + "/cpu.cfs_quota_us");
  std::ifstream period_file(folder + "/cpu.cfs_period_us");
  double quota = 0;
  double period = 0;
  const bool limited = quota_file >> quota && period_file >> period && quota > 0 && period > 0;
  return limited ? quota / period : std::numeric_limits<double>::infinity();
}

double cgroup_cpus() {
  std::ifstream groups("/proc/self/cgroup");
  double least = std::numeric_limits<double>::infinity();
  for (std::string line; std::getline(groups, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string group = line.substr(second + 1);
    if (group == "/") group.clear();
    if (controllers.empty()) least = std::min(least, quota_v2(group));
    std::istringstream names(controllers);
    for (std::string name; std::getline(names, name, ',');) {
      if (name == "cpu") least = std::min({least, quota_v1(group), quota_v1("")});
    }
  }
  return least;
}

}  // namespace

std::size_t cpu_count() {
  const auto allowed = static_cast<double>(affinity_cpus());
  return static_cast<std::size_t>(std::max(1.0, std::ceil(std::min(allowed, cgroup_cpus()))));
}

}  // namespace procyon
