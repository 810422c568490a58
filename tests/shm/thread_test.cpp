// Threads of one process at the same heap. These run under ThreadSanitizer.
#include <atomic>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include <procyon/shm/array.hpp>
#include <procyon/shm/heap.hpp>

#include "catch.hpp"
#include "support.hpp"

namespace heap_test {
using procyon::Array;
using procyon::shared_heap;

namespace {

std::size_t random_size(std::mt19937& random) {
  const std::size_t sizes[] = {1, 64, 100, 300, 1000, 5000, 30000, 40000, 70000, 300000};
  return sizes[random() % std::size(sizes)];
}

/// Blocks that any thread may take and free.
class Exchange {
 public:
  /// Leaves a block, takes another one (of no bytes: none).
  Filled swap(Filled block, std::size_t place) {
    const std::lock_guard lock(mutex_);
    std::swap(block, places_[place % std::size(places_)]);
    return block;
  }

 private:
  std::mutex mutex_;
  Filled places_[64];
};

bool work(Exchange& exchange, unsigned seed, int rounds) {
  std::mt19937 random(seed);
  bool intact = true;
  for (int i = 0; i < rounds; ++i) {
    const Filled mine =
        Filled::make(random_size(random) / 8 + 1, static_cast<unsigned char>(random()));
    if (random() % 2 == 0) shm::give(mine.data);
    const Filled other = exchange.swap(mine, random());
    intact = intact && other.intact();
    shm::deallocate(other.data);
  }
  return intact;
}

}  // namespace

TEST_CASE("threads that free each other's blocks never get the same block twice") {
  Exchange exchange;
  std::atomic<int> intact = 0;
  {
    std::vector<std::jthread> threads;
    threads.reserve(4);
    for (unsigned seed = 1; seed <= 4; ++seed) {
      threads.emplace_back([&, seed] { intact += work(exchange, seed, 5000); });
    }
  }
  CHECK(intact == 4);
  CHECK(find_fault() == sound);
  for (std::size_t i = 0; i < 64; ++i) {
    const Filled left = exchange.swap({}, i);
    CHECK(left.intact());
    shm::deallocate(left.data);
  }
  CHECK(shared_heap().used() == 0);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("threads that close the heap whenever it is unused do not pull it from under others") {
  std::atomic<int> closed = 0;
  {
    std::vector<std::jthread> threads;
    threads.reserve(4);
    for (unsigned seed = 1; seed <= 3; ++seed) {
      threads.emplace_back([&, seed] {
        std::mt19937 random(seed);
        for (int i = 0; i < 300; ++i) {
          const std::size_t size = random() % 4 == 0 ? std::size_t{70000} : std::size_t{100};
          auto* block = static_cast<char*>(shm::allocate(size));
          std::memset(block, 1, size);
          shm::give(block);
          shm::contains(block);
          shm::deallocate(block);
          closed += shm::close_heap_if_unused();
        }
      });
    }
  }
  CHECK(closed > 0);
  CHECK(shm::close_heap_if_unused());
  CHECK(heap_mappings() == 0);
}

TEST_CASE("threads that copy and drop handles free the array once") {
  {
    const Array<int> array(100, 1);
    std::vector<std::jthread> threads;
    threads.reserve(4);
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([array] {
        for (int i = 0; i < 2000; ++i) {
          Array<int> copy = array;
          const Array<int> moved = std::move(copy);
        }
      });
    }
  }
  CHECK(shared_heap().used() == 0);
  CHECK(shm::close_heap_if_unused());
}

}  // namespace heap_test
