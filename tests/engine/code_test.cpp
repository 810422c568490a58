// Code that is named by module and offset.
#include <dlfcn.h>
#include <procyon/executor/pool.hpp>
#include <procyon/executor/thread_pool.hpp>

#include <atomic>

#include "support.hpp"

using procyon::engine::CodeToken;
using procyon::engine::find_code;
using procyon::engine::identify_module;
using procyon::engine::JobType;
using procyon::engine::max_modules;
using procyon::engine::Module;
using procyon::engine::module_of;
using procyon::engine::ModuleIdentity;
using procyon::engine::register_code;

extern "C" int tasks_linked(procyon::Pool& pool, int count);

namespace {

const JobType first_record{JobType::valid, nullptr};
const JobType second_record{JobType::valid, nullptr};
const JobType broken_record{~JobType::valid, nullptr};

/// A submitter's table of modules that knows the one of a token.
struct Table {
  struct {
    Module module{};
    char path = 0;  // none: it must be loaded already
  } entry;
  std::atomic<const Module*> modules[max_modules] = {};
  explicit Table(CodeToken code) {
    const ModuleIdentity identity = identify_module(code);
    entry.module = {identity.base, identity.fingerprint};
    modules[module_of(code)].store(&entry.module);
  }
};

using InPool = int (*)(procyon::Pool&, int);

class Library {
 public:
  explicit Library(const char* path) : handle_(dlopen(path, RTLD_NOW)) {
    INFO(dlerror());
    REQUIRE(handle_ != nullptr);
  }
  ~Library() { dlclose(handle_); }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  template <class F>
  F find(const char* name) const {
    const auto found = reinterpret_cast<F>(dlsym(handle_, name));
    REQUIRE(found != nullptr);
    return found;
  }

 private:
  void* handle_;
};

}  // namespace

TEST_CASE("a token leads back to its record, and records of one module share its number") {
  const CodeToken first = register_code(__ehdr_start, &first_record);
  const CodeToken second = register_code(__ehdr_start, &second_record);
  CHECK(first != second);
  CHECK(module_of(first) == module_of(second));
  CHECK(register_code(__ehdr_start, &first_record) == first);
  const Table table(first);
  CHECK(find_code(first, table.modules) == &first_record);
  CHECK(find_code(second, table.modules) == &second_record);
}

TEST_CASE("a token that names no record is not followed") {
  const CodeToken code = register_code(__ehdr_start, &first_record);
  const Table table(code);
  const CodeToken module = code >> 48 << 48;
  CHECK(find_code(register_code(__ehdr_start, &broken_record), table.modules) == nullptr);
  CHECK(find_code(module, table.modules) == nullptr);  // the ELF header
  CHECK(find_code(module | ((CodeToken{1} << 48) - 8), table.modules) == nullptr);
  CHECK(find_code(module | (CodeToken{1} << 40), table.modules) == nullptr);
  CHECK(find_code(code + 1, table.modules) == nullptr);
}

TEST_CASE("a module that is unknown, or another build, gives no code") {
  const CodeToken code = register_code(__ehdr_start, &first_record);
  const std::atomic<const Module*> none[max_modules] = {};
  CHECK(find_code(code, none) == nullptr);
  Table table(code);
  CHECK(find_code((CodeToken{max_modules} << 48) | 64, table.modules) == nullptr);
  CHECK(find_code((CodeToken{0xffff} << 48) | 64, table.modules) == nullptr);
  ++table.entry.module.fingerprint;
  CHECK(find_code(code, table.modules) == nullptr);
  table.entry.module.base = 0x10000;
  CHECK(find_code(code, table.modules) == nullptr);
}

TEST_CASE("more libraries than the table holds are refused in words", "[process]") {
  // In a process of its own: the numbers stay taken.
  const pid_t child = procyon::process::fork_child("a test", [] {
    const auto* const base = reinterpret_cast<const char*>(&first_record);
    for (std::size_t i = 0; i <= max_modules; ++i) {
      try {
        register_code(base - 4096 * i, &first_record);
      } catch (const procyon::Error& error) {
        const std::string number = std::to_string(max_modules);
        return std::string(error.what()).find(number) != std::string::npos ? 0 : 1;
      }
    }
    return 2;
  });
  CHECK(procyon::process::reap(child) == 0);
}

TEST_CASE("a library that is linked to the program runs its code in workers", "[process]") {
  procyon::Pool pool(2);
  CHECK(tasks_linked(pool, 3) == 14);
  CHECK(tasks_linked(pool, 1000) == 333833500);
}

TEST_CASE("a library opened before the pool or after it runs its code in workers", "[process]") {
  const Library opened(PROCYON_TASKS_OPENED);
  procyon::Pool pool(2);
  const Library late(PROCYON_TASKS_LATE);
  CHECK(opened.find<InPool>("tasks_opened")(pool, 3) == 14);
  CHECK(late.find<InPool>("tasks_late")(pool, 3) == 14);
  CHECK(opened.find<InPool>("tasks_opened")(pool, 4) == 30);
}

TEST_CASE("a module is found where it lies here, not where its submitter had it") {
  const CodeToken code = register_code(__ehdr_start, &first_record);
  Table table(code);
  table.entry.module.base += 4096;
  CHECK(find_code(code, table.modules) == &first_record);
}

TEST_CASE("threads run the code of a library opened at any time") {
  procyon::ThreadPool pool(2);
  const Library library(PROCYON_TASKS_LATE);
  CHECK(library.find<int (*)(procyon::ThreadPool&, int)>("in_threads")(pool, 3) == 14);
}
