// Standard containers in the shared heap.
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <unordered_map>

#include <procyon/base/errors.hpp>
#include <procyon/shm/allocator.hpp>

#include "catch.hpp"
#include "support.hpp"

namespace heap_test {
using procyon::shared_allocator;
using procyon::shared_heap;
using procyon::shared_string;
using procyon::shared_vector;

TEST_CASE("standard containers live in the heap and leave it clean") {
  {
    using Pair = std::pair<const int, shared_string>;
    std::map<int, shared_string, std::less<>, shared_allocator<Pair>> map;
    shared_vector<shared_string> vector;
    std::unordered_map<shared_string, int, std::hash<shared_string>, std::equal_to<>,
                       shared_allocator<std::pair<const shared_string, int>>>
        index;
    for (int i = 0; i < 1000; ++i) {
      const shared_string text(static_cast<std::size_t>(i % 100), 'x');
      map.emplace(i, text);
      vector.push_back(text);
      index[text] = i;
    }
    CHECK(shm::contains(&map.at(5)));
    CHECK(shm::contains(vector.data()));
    CHECK(map.at(99).size() == 99);
    CHECK(index.size() == 100);
    auto moved = std::move(vector);
    auto copied = map;
    std::swap(copied, map);
    CHECK(moved.at(999).size() == 99);
  }
  CHECK(shared_heap().used() == 0);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("more elements than memory can have are refused") {
  const std::size_t huge = std::numeric_limits<std::size_t>::max() / 4;
  CHECK_THROWS_AS(shared_allocator<double>().allocate(huge), procyon::SharedMemoryError);
  CHECK_THROWS_AS(shared_allocator<char>().allocate(huge), procyon::SharedMemoryError);
}

TEST_CASE("a container filled by a member outlives it", "[process]") {
  {
    auto* vector = new (shm::allocate(sizeof(shared_vector<int>))) shared_vector<int>();
    CHECK(holds_in_member([&] {
      for (int i = 0; i < 100000; ++i) vector->push_back(i);
      return true;
    }));
    CHECK(vector->size() == 100000);
    CHECK(vector->back() == 99999);
    vector->~vector();
    shm::deallocate(vector);
  }
  CHECK(shared_heap().used() == 0);
  CHECK(shm::close_heap_if_unused());
}

}  // namespace heap_test
