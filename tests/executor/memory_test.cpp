// Pools when shared memory runs out.
#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include "processes.hpp"

using processes::Variable;
using procyon::Array;
using procyon::Pool;
using procyon::SharedMemoryError;

namespace {

std::string make_text(std::size_t size) { return std::string(size, 't'); }

/// Arrays, down to the smallest, until there is no memory for any.
std::vector<Array<char>> fill_heap() {
  std::vector<Array<char>> arrays;
  for (std::size_t size = 1 << 20; size >= 1; size /= 2) {
    try {
      for (;;) arrays.emplace_back(size);
    } catch (const SharedMemoryError&) {
    }
  }
  return arrays;
}

}  // namespace

TEST_CASE("a result that does not fit fails its task, and the pool works on", "[process]") {
  const Variable limit("PROCYON_SHARED_MEMORY", "8M");
  Pool pool(2);
  for (int round = 0; round < 20; ++round) {
    CHECK_THROWS_AS(pool.apply(make_text, std::size_t{9 << 20}), SharedMemoryError);
    CHECK_THROWS_AS(pool.map(make_text, std::vector<std::size_t>(100, 1 << 20)), SharedMemoryError);
    CHECK(pool.apply(make_text, std::size_t{100000}).size() == 100000);
  }
}

TEST_CASE("arguments that do not fit are refused, and the pool works on", "[process]") {
  const Variable limit("PROCYON_SHARED_MEMORY", "8M");
  Pool pool(2);
  const std::size_t before = procyon::shared_heap().used();
  const auto length = [](const std::string& text) { return text.size(); };
  const auto size_of = [](int) { return 1; };
  for (int round = 0; round < 20; ++round) {
    CHECK_THROWS_AS(pool.apply(length, std::string(9 << 20, 'a')), SharedMemoryError);
    CHECK_THROWS_AS(pool.map(size_of, std::vector<int>(3 << 20)), SharedMemoryError);
    CHECK_THROWS_AS(pool.map_async(size_of, std::vector<int>(1 << 20), {.chunk_size = 1}).get(),
                    SharedMemoryError);
    CHECK(pool.apply(length, std::string(100, 'a')) == 100);
  }
  CHECK(procyon::shared_heap().used() <= before + 4096);
}

TEST_CASE("a crash is told although there is no memory to record it", "[process]") {
  const Variable limit("PROCYON_SHARED_MEMORY", "6M");
  Pool pool(2);
  CHECK(pool.map([](int x) { return x; }, std::vector<int>(100)).size() == 100);
  for (int round = 0; round < 3; ++round) {
    const auto filling = fill_heap();
    for (int i = 0; i < 10; ++i) {
      const auto result = pool.apply_async([] { std::abort(); });
      REQUIRE(result.wait_for(std::chrono::seconds(20)));
      try {
        result.get();
        FAIL("nothing was thrown");
      } catch (const procyon::WorkerCrashed&) {
      } catch (const SharedMemoryError&) {
      }
    }
  }
  CHECK(pool.map([](int x) { return x + 1; }, {1, 2}) == std::vector{2, 3});
}
