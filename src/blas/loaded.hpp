// The functions of the BLAS and OpenMP runtimes in this process: found, never linked.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace procyon::blas {

enum class Api { openblas, openmp };

/// One loaded runtime. Its functions may be called while it stays loaded: `pin()` sees to that.
struct Loaded {
  Api api = Api::openmp;
  std::string_view internal_api;  // as RuntimeInfo's; static storage
  std::string_view prefix;        // static storage
  std::string path;               // as the loader names it; empty: the program's own file
  int (*get_threads)() = nullptr;
  void (*set_threads)(int) = nullptr;
  int (*get_parallel)() = nullptr;    // OpenBLAS; may be null
  char* (*get_config)() = nullptr;    // OpenBLAS; may be null
  char* (*get_corename)() = nullptr;  // OpenBLAS; may be null

  /// OpenBLAS that takes its threads, and their number, from OpenMP.
  bool on_openmp() const { return api == Api::openblas && get_parallel && get_parallel() == 2; }
  std::string_view user_api() const { return api == Api::openblas ? "blas" : "openmp"; }
};

/// The runtimes loaded now, OpenBLAS before OpenMP. Repeated calls cost one look at the loader's
/// counters; the list is looked up again when a library came or went. Valid until the calling
/// thread's next call: each thread has its own, so that no lock can be left held over a fork.
const std::vector<Loaded>& loaded_runtimes();

/// Keeps the library loaded while the result lives.
std::shared_ptr<void> pin(const Loaded& runtime);

}  // namespace procyon::blas
