// Files mapped beside the heap.
#include "shm/files.hpp"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include <procyon/base/errors.hpp>
#include <procyon/shm/array.hpp>
#include <procyon/shm/heap.hpp>

#include "catch.hpp"
#include "support.hpp"

namespace heap_test {
using procyon::Array;
using procyon::shared_heap;
using procyon::SharedMemoryError;

namespace {

/// A file without a name, of `bytes` bytes that are all `fill`.
class TestFile {
 public:
  TestFile(std::size_t bytes, char fill) {
    std::string path = std::filesystem::temp_directory_path() / "file-XXXXXX";
    fd_ = mkostemp(path.data(), O_CLOEXEC);
    unlink(path.c_str());
    const std::string text(bytes, fill);
    REQUIRE(write(fd_, text.data(), bytes) == static_cast<ssize_t>(bytes));
  }
  ~TestFile() { close(fd_); }
  TestFile(const TestFile&) = delete;
  TestFile& operator=(const TestFile&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

/// What a member that was forked before anything was mapped does, step by step.
class Stepper {
 public:
  using Step = std::function<bool()>;
  explicit Stepper(std::vector<Step> steps) {
    state_ = new (shm::allocate(sizeof(State))) State{};
    child_ = fork_member([this, &steps] {
      for (int i = 0; i < static_cast<int>(steps.size()); ++i) {
        while (state_->wanted <= i) sched_yield();
        state_->good = state_->good && steps[static_cast<std::size_t>(i)]();
        state_->done = i + 1;
      }
      return true;
    });
  }
  ~Stepper() {
    finish(child_);
    shm::deallocate(state_);
  }
  Stepper(const Stepper&) = delete;
  Stepper& operator=(const Stepper&) = delete;

  bool next() {
    const int step = ++state_->wanted;
    while (state_->done < step && kill(child_.pid, 0) == 0) sched_yield();
    return state_->good;
  }

 private:
  struct State {
    std::atomic<int> wanted{0};
    std::atomic<int> done{0};
    std::atomic<bool> good{true};
  };
  State* state_ = nullptr;
  Child child_;
};

}  // namespace

TEST_CASE("a mapped file is read at one address by members forked before and after", "[process]") {
  const TestFile file(10000, 'a');
  auto** place = new (shm::allocate(sizeof(char*))) char*(nullptr);
  {
    const auto sees_file = [&] {
      shm::sync_mappings();
      return (*place)[0] == 'a' && (*place)[9999] == 'a' && shm::contains(*place, 10000) &&
             !shm::contains(*place, 10001);
    };
    const auto sees_none = [&] {
      shm::sync_mappings();
      return !shm::contains(*place);
    };
    Stepper before({sees_file, sees_none});
    *place = static_cast<char*>(shm::map_file(file.fd(), 10000));
    CHECK(sees_file());
    CHECK(before.next());
    CHECK(holds_in_member(sees_file));
    CHECK_FALSE(shm::close_heap_if_unused());
    shm::unmap_file(*place);
    CHECK(sees_none());
    CHECK(before.next());
    CHECK(holds_in_member(sees_none));
  }
  shm::deallocate(place);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("another file at the address of one that is gone is seen as itself", "[process]") {
  const TestFile first(5000, 'a');
  const TestFile second(5000, 'b');
  auto** place = new (shm::allocate(sizeof(char*))) char*(nullptr);
  {
    const auto sees = [&](char letter) {
      return [=] {
        shm::sync_mappings();
        return (*place)[4999] == letter;
      };
    };
    Stepper before({sees('a'), sees('b')});
    *place = static_cast<char*>(shm::map_file(first.fd(), 5000));
    const char* old = *place;
    CHECK(before.next());
    shm::unmap_file(*place);
    *place = static_cast<char*>(shm::map_file(second.fd(), 5000));
    CHECK(*place == old);
    CHECK(before.next());
  }
  shm::unmap_file(*place);
  shm::deallocate(place);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("many files find their places, and find them again") {
  const TestFile file(100000, 'x');
  std::vector<void*> mapped;
  for (std::size_t i = 1; i <= 50; ++i) mapped.push_back(shm::map_file(file.fd(), i * 1999));
  for (std::size_t i = 0; i < 50; i += 2) shm::unmap_file(mapped[i]);
  void* small = shm::map_file(file.fd(), 1);
  CHECK(small == mapped[0]);
  shm::map_file(file.fd(), 90000);
  for (std::size_t i = 1; i < 50; i += 2) CHECK(static_cast<char*>(mapped[i])[i * 1999] == 'x');
  CHECK_FALSE(shm::close_heap_if_unused());
  for (std::size_t i = 1; i < 50; i += 2) shm::unmap_file(mapped[i]);
  shm::unmap_file(small);
  shm::unmap_file(static_cast<char*>(mapped[48]) + (1 << 20));  // nothing is there
  CHECK_FALSE(shm::close_heap_if_unused());
  for (std::uintptr_t page = 0; page < 1 << 23; page += 4096) {
    shm::unmap_file(static_cast<char*>(mapped[0]) + page);
  }
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("what cannot be mapped is named") {
  const TestFile file(100, 'x');
  CHECK_THROWS_AS(shm::map_file(file.fd(), 101), std::invalid_argument);
  CHECK_THROWS_AS(shm::map_file(file.fd(), 0), std::invalid_argument);
  CHECK_THROWS_AS(shm::map_file(-1, 10), SharedMemoryError);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("only the program maps files", "[process]") {
  const TestFile file(100, 'x');
  shm::open_heap();
  CHECK(holds_in_member([&] {
    try {
      shm::map_file(file.fd(), 100);
    } catch (const std::logic_error&) {
      return true;
    }
    return false;
  }));
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("an array over a file ends with its last handle") {
  const TestFile file(4096 + 16, 'x');
  {
    const auto array = procyon::detail::adopt_mapping<const char>(file.fd(), 4112, 4096, 16);
    Array<const char> copy;
    copy = array;
    CHECK(array.size() == 16);
    CHECK(std::ranges::all_of(copy, [](char letter) { return letter == 'x'; }));
    CHECK(shm::contains(array.data(), 16));
    const Array<char> clone = array.clone();
    clone[0] = 'y';
    CHECK(array[0] == 'x');
    CHECK_FALSE(shm::close_heap_if_unused());
  }
  CHECK(shared_heap().used() == 0);
  CHECK(shm::close_heap_if_unused());
  CHECK_THROWS_AS(procyon::detail::adopt_mapping<char>(-1, 10, 0, 10), SharedMemoryError);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("a mapping whose last handle a member dropped is ended by the program", "[process]") {
  const TestFile file(100, 'x');
  auto* place = new (shm::allocate(sizeof(Array<char>))) Array<char>();
  *place = procyon::detail::adopt_mapping<char>(file.fd(), 100, 0, 100);
  char* data = place->data();
  CHECK(holds_in_member([&] {
    *place = {};
    return true;
  }));
  CHECK(shm::contains(data));
  shm::deallocate(place);
  CHECK(shm::close_heap_if_unused());
}

}  // namespace heap_test
