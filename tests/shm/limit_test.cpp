// What happens at the limits: errors with a cure, never a signal.
#include <sys/resource.h>

#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include <procyon/base/errors.hpp>
#include <procyon/shm/heap.hpp>

#include "catch.hpp"
#include "support.hpp"

namespace heap_test {
using procyon::shared_heap;
using procyon::SharedMemoryError;

namespace {

constexpr std::size_t mib = 1 << 20;

/// Allocates and writes until nothing is left; what the error said.
std::string fill_heap(std::vector<void*>& blocks, std::size_t size) {
  try {
    for (;;) {
      blocks.push_back(shm::allocate(size));
      std::memset(blocks.back(), 1, size);
    }
  } catch (const SharedMemoryError& error) {
    return error.what();
  }
}

void free_all(std::vector<void*>& blocks) {
  for (void* block : blocks) shm::deallocate(block);
  blocks.clear();
}

}  // namespace

TEST_CASE("a malformed PROCYON_SHARED_MEMORY is refused with the right form") {
  for (const char* value :
       {"abc", "12Q", "-1", "0", "1.5G", "99999999999999999999", "20000000000G", " 5M", "5M "}) {
    const Environment environment("PROCYON_SHARED_MEMORY", value);
    try {
      shm::allocate(1);
      FAIL("accepted: " << value);
    } catch (const std::invalid_argument& error) {
      const std::string text = error.what();
      CHECK(text.find("PROCYON_SHARED_MEMORY is \"" + std::string(value) + "\"") == 0);
      CHECK(text.find("512M") != std::string::npos);
    }
    CHECK_FALSE(shm::heap_is_open());
  }
}

TEST_CASE("PROCYON_SHARED_MEMORY is read with its units") {
  const std::pair<const char*, std::size_t> cases[] = {
      {"33554432", 32 * mib}, {"65536K", 64 * mib}, {"48M", 48 * mib}, {"1g", 1024 * mib}};
  for (const auto& [value, bytes] : cases) {
    const Environment environment("PROCYON_SHARED_MEMORY", value);
    CHECK(shared_heap().limit() == bytes);
    shm::open_heap();
    CHECK(shared_heap().limit() == bytes);
    CHECK(shm::close_heap_if_unused());
  }
}

TEST_CASE("without PROCYON_SHARED_MEMORY there is a limit too") {
  shm::open_heap();
  CHECK(shared_heap().limit() > 0);
  CHECK(shared_heap().limit() < std::size_t{1} << 46);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("an empty PROCYON_SHARED_MEMORY is none") {
  const Environment environment("PROCYON_SHARED_MEMORY", "");
  shm::deallocate(shm::allocate(1));
  CHECK(shared_heap().limit() > 0);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("a PROCYON_SHARED_MEMORY beyond what the heap can ever have is refused, not lowered") {
  for (const char* value : {"65G", "68719476737", "1000000M"}) {
    const Environment environment("PROCYON_SHARED_MEMORY", value);
    CHECK_THROWS_WITH(shm::allocate(1), Catch::Contains(std::string("\"") + value + "\"") &&
                                            Catch::Contains("at most 64G"));
    CHECK_FALSE(shm::heap_is_open());
  }
  const Environment environment("PROCYON_SHARED_MEMORY", "64G");
  CHECK(shared_heap().limit() == std::size_t{64} << 30);
}

TEST_CASE("a PROCYON_SHARED_MEMORY beyond what can be reserved is refused, not lowered",
          "[process]") {
  const Environment environment("PROCYON_SHARED_MEMORY", "1G");
  CHECK(holds_in_child([] {
    const rlimit limit{100 * mib, 100 * mib};
    setrlimit(RLIMIT_FSIZE, &limit);
    try {
      shm::allocate(1);
    } catch (const SharedMemoryError& error) {
      const std::string text = error.what();
      return text.find("PROCYON_SHARED_MEMORY is \"1G\"") == 0 &&
             text.find("set it to that or less") != std::string::npos && !shm::heap_is_open();
    }
    return false;
  }));
}

TEST_CASE("past the limit allocation throws, and works again after a free") {
  const Environment environment("PROCYON_SHARED_MEMORY", "32M");
  for (const std::size_t size :
       {std::size_t{64}, std::size_t{3000}, std::size_t{30000}, std::size_t{65536}, mib, 7 * mib}) {
    std::vector<void*> blocks;
    const std::string text = fill_heap(blocks, size);
    CHECK(text.find("33554432") != std::string::npos);
    CHECK(text.find("PROCYON_SHARED_MEMORY") != std::string::npos);
    CHECK(shared_heap().reserved() <= shared_heap().limit());
    CHECK(blocks.size() * size > 20 * mib);
    shm::deallocate(blocks.back());
    blocks.pop_back();
    blocks.push_back(shm::allocate(size));
    free_all(blocks);
    CHECK(shared_heap().used() == 0);
    CHECK(find_fault() == sound);
  }
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("what one size class has freed serves the others at the limit") {
  const Environment environment("PROCYON_SHARED_MEMORY", "32M");
  std::vector<void*> blocks;
  for (int round = 0; round < 3; ++round) {
    for (const std::size_t size :
         {std::size_t{64}, std::size_t{30000}, 7 * mib, std::size_t{500}}) {
      fill_heap(blocks, size);
      CHECK(blocks.size() * size > 20 * mib);
      free_all(blocks);
    }
  }
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("what a dead process kept for reuse does not count against the living", "[process]") {
  const Environment environment("PROCYON_SHARED_MEMORY", "32M");
  shm::open_heap();
  CHECK(holds_in_member([] {
    // Pieces too small to be used as they are, and backed.
    for (int i = 0; i < 200; ++i) {
      shm::allocate(100000);
      shm::give(shm::allocate(100));
    }
    return true;
  }));
  const std::size_t size = 30 * mib;
  void* block = shm::allocate(size);
  std::memset(block, 1, size);
  shm::deallocate(block);
  for (void* given : given_blocks()) shm::deallocate(given);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("a limit below the heap's own needs is an error, not a crash") {
  for (const char* value : {"1", "4K", "200K"}) {
    const Environment environment("PROCYON_SHARED_MEMORY", value);
    CHECK_THROWS_AS(shm::allocate(1), SharedMemoryError);
    shm::close_heap_if_unused();
    CHECK_FALSE(shm::heap_is_open());
  }
}

TEST_CASE("two processes at the limit never pass it for long", "[process]") {
  const Environment environment("PROCYON_SHARED_MEMORY", "32M");
  shm::open_heap();
  const auto fill = [] {
    std::vector<void*> blocks;
    fill_heap(blocks, 100000);
    return true;  // it may have found the other everywhere
  };
  const Child first = fork_member(fill);
  const Child second = fork_member(fill);
  CHECK(finish(first) == 0);
  CHECK(finish(second) == 0);
  CHECK(shared_heap().reserved() <= shared_heap().limit());
  CHECK(shared_heap().used() == 0);
  CHECK(find_fault() == sound);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("RLIMIT_FSIZE makes the heap smaller or an error, not a signal", "[process]") {
  const auto with_limit = [](rlim_t bytes) {
    const rlimit limit{bytes, bytes};
    setrlimit(RLIMIT_FSIZE, &limit);
  };
  CHECK(holds_in_child([&] {
    with_limit(100 * mib);
    std::vector<void*> blocks;
    const std::string text = fill_heap(blocks, mib);
    free_all(blocks);
    return text.find("PROCYON_SHARED_MEMORY") != std::string::npos ||
           text.find("address range") != std::string::npos;
  }));
  CHECK(holds_in_child([&] {
    with_limit(1 * mib);
    try {
      shm::allocate(1);
    } catch (const SharedMemoryError& error) {
      return std::string(error.what()).find("ulimit -f") != std::string::npos;
    }
    return false;
  }));
}

TEST_CASE("RLIMIT_AS makes the heap smaller or an error", "[process]") {
  if (is_sanitized) return;  // the sanitizer itself needs more
  const auto with_limit = [](rlim_t bytes) {
    const rlimit limit{bytes, bytes};
    setrlimit(RLIMIT_AS, &limit);
  };
  CHECK(holds_in_child([&] {
    with_limit(2048 * mib);
    std::vector<void*> blocks;
    const std::string text = fill_heap(blocks, 16 * mib);
    const bool enough = blocks.size() > 20;
    free_all(blocks);
    return enough && text.find("row left") != std::string::npos;
  }));
  CHECK(holds_in_child([&] {
    with_limit(10 * mib);
    try {
      shm::allocate(1);
    } catch (const SharedMemoryError& error) {
      return std::string(error.what()).find("ulimit -v") != std::string::npos;
    }
    return false;
  }));
}

}  // namespace heap_test
