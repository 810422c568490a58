#include "procyon/bench_environment.hpp"

#include <procyon/base/cpus.hpp>
#include <procyon/blas.hpp>
#include <procyon/linalg/backend.hpp>

#include <elf.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <link.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>

#include "procyon/build_info.hpp"
#include "procyon/subprocess.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX has it in no header

namespace procyon::tool {

namespace {

using nlohmann::ordered_json;

// The first processor's fields of /proc/cpuinfo.
std::map<std::string, std::string> cpu_info() {
  std::map<std::string, std::string> fields;
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line) && !line.empty();) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::size_t end = line.find_last_not_of("\t ", colon - 1);
    fields[line.substr(0, end + 1)] = line.substr(std::min(colon + 2, line.size()));
  }
  return fields;
}

ordered_json describe_cpu() {
  auto fields = cpu_info();
  ordered_json cpu;
  for (const char* const name : {"model name", "vendor_id", "cpu family", "model", "stepping"}) {
    cpu[name] = fields[name];
  }
  const blas::CpuFeatures features = blas::cpu_features();
  cpu["avx2_fma"] = features.avx2_fma;
  cpu["avx512"] = features.avx512;
  cpu["hypervisor"] = (" " + fields["flags"] + " ").find(" hypervisor ") != std::string::npos;
  std::string governor;
  std::ifstream("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") >> governor;
  cpu["governor"] = governor.empty() ? "none" : governor;
  cpu["usable"] = cpu_count();
  cpu["online"] = ::sysconf(_SC_NPROCESSORS_ONLN);
  for (const auto& [name, key] : {std::pair{"l1d_bytes", _SC_LEVEL1_DCACHE_SIZE},
                                  std::pair{"l2_bytes", _SC_LEVEL2_CACHE_SIZE},
                                  std::pair{"l3_bytes", _SC_LEVEL3_CACHE_SIZE}}) {
    cpu[name] = ::sysconf(key);
  }
  return cpu;
}

// The build id in a loaded file's notes; `wanted` is a path with its links resolved.
struct BuildId {
  std::string wanted;
  std::string found;
};

std::string build_id_in(const char* note, const char* end) {
  while (note + sizeof(ElfW(Nhdr)) <= end) {
    const auto* const header = reinterpret_cast<const ElfW(Nhdr)*>(note);
    const char* const name = note + sizeof *header;
    const char* const content = name + (header->n_namesz + 3U) / 4 * 4;
    if (header->n_type == NT_GNU_BUILD_ID && std::string_view(name) == "GNU") {
      std::string text;
      for (std::size_t i = 0; i < header->n_descsz; ++i) {
        text += fmt::format("{:02x}", static_cast<unsigned char>(content[i]));
      }
      return text;
    }
    note = content + (header->n_descsz + 3U) / 4 * 4;
  }
  return "";
}

int look_for_build_id(dl_phdr_info* info, std::size_t, void* state) {
  auto& id = *static_cast<BuildId*>(state);
  std::error_code error;
  if (std::filesystem::canonical(info->dlpi_name, error) != id.wanted || error) return 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& header = info->dlpi_phdr[i];
    if (header.p_type != PT_NOTE) continue;
    const auto* const note = reinterpret_cast<const char*>(info->dlpi_addr + header.p_vaddr);
    if (id.found.empty()) id.found = build_id_in(note, note + header.p_memsz);
  }
  return 1;
}

ordered_json describe_blas() {
  const linalg::Backend backend = linalg::backend();
  BuildId id{.wanted = backend.filepath, .found = ""};
  ::dl_iterate_phdr(look_for_build_id, &id);
  struct stat status = {};
  ::stat(backend.filepath.c_str(), &status);
  ordered_json blas;
  blas["library"] = backend.filepath;
  blas["sha256"] = sha256_of(backend.filepath);
  blas["build_id"] = id.found;
  blas["bytes"] = status.st_size;
  blas["changed"] = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(status.st_mtime));
  blas["config"] = backend.config;
  blas["core"] = backend.core_name;
  blas["parallel"] = backend.parallel;
  blas["num_threads"] = backend.num_threads;
  return blas;
}

ordered_json describe_runtimes() {
  ordered_json list = ordered_json::array();
  for (const RuntimeInfo& runtime : runtimes()) {
    list.push_back({{"internal_api", runtime.internal_api},
                    {"filepath", runtime.filepath},
                    {"version", runtime.version},
                    {"num_threads", runtime.num_threads}});
  }
  return list;
}

// Every variable that may steer threads or kernels.
ordered_json describe_variables() {
  ordered_json variables = ordered_json::object();
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('='));
    bool matters = name.ends_with("_NUM_THREADS");
    for (const char* const prefix : {"OPENBLAS_", "OMP_", "GOMP_", "PROCYON_", "MALLOC_"}) {
      matters = matters || name.starts_with(prefix);
    }
    if (matters) variables[std::string(name)] = text.substr(std::min(name.size() + 1, text.size()));
  }
  return variables;
}

std::string compiler() {
#if defined(__clang__)
  return std::string("clang ") + __clang_version__;
#else
  return std::string("g++ ") + __VERSION__;
#endif
}

}  // namespace

std::string cpu_affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return "unknown";
  std::string list;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) list += fmt::format("{}{}", list.empty() ? "" : ",", cpu);
  }
  return list;
}

unsigned long long stolen_ticks() {
  std::ifstream file("/proc/stat");
  std::string name;
  unsigned long long user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0;
  unsigned long long steal = 0;
  file >> name >> user >> nice >> system >> idle >> iowait >> irq >> softirq >> steal;
  return steal;
}

ordered_json describe_environment() {
  utsname system = {};
  ::uname(&system);
  ordered_json environment;
  environment["date"] = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
  environment["cpu"] = describe_cpu();
  environment["affinity"] = cpu_affinity();
  environment["kernel"] = fmt::format("{} {} {}", system.sysname, system.release, system.machine);
  environment["procyon"] = PROCYON_VERSION;
  environment["commit"] = build_commit;
  environment["compiler"] = compiler();
  environment["compiler_flags"] = build_flags;
#if defined(__OPTIMIZE__)
  environment["optimised"] = true;
#else
  environment["optimised"] = false;
#endif
  environment["blas"] = describe_blas();
  environment["runtimes"] = describe_runtimes();
  environment["variables"] = describe_variables();
  return environment;
}

std::string environment_text(const ordered_json& environment) {
  const auto& cpu = environment["cpu"];
  const auto& blas = environment["blas"];
  const auto text = [](const ordered_json& value) { return value.get<std::string>(); };
  std::string lines =
      fmt::format("{}, {} CPUs; {}\n{}, core {}, SHA-256 {}\nprocyon {}, commit {}; {}, {}\n",
                  text(cpu["model name"]), cpu["usable"].get<std::size_t>(),
                  text(environment["kernel"]), text(blas["library"]), text(blas["core"]),
                  text(blas["sha256"]), text(environment["procyon"]), text(environment["commit"]),
                  text(environment["compiler"]), text(environment["compiler_flags"]));
  if (!environment["optimised"].get<bool>()) {
    lines += "This command was built without optimisation: its times are no measure of anything\n";
  }
  return lines;
}

}  // namespace procyon::tool
