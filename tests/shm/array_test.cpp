// Counted handles.
#include <array>
#include <cstdint>
#include <iterator>
#include <limits>
#include <list>
#include <numeric>
#include <ranges>
#include <sstream>
#include <stdexcept>
#include <utility>
#include <vector>

#include <procyon/base/errors.hpp>
#include <procyon/shm/array.hpp>
#include <procyon/shm/heap.hpp>

#include "catch.hpp"
#include "support.hpp"

namespace heap_test {
using procyon::Array;
using procyon::RawArray;
using procyon::shared_heap;
using procyon::SharedMemoryError;

namespace {

/// A range that can be read once, and does not know its length.
class ReadOnce {
 public:
  explicit ReadOnce(const char* numbers) : stream_(numbers) {}
  std::istream_iterator<int> begin() { return std::istream_iterator<int>(stream_); }
  std::istream_iterator<int> end() const { return {}; }

 private:
  std::istringstream stream_;
};

}  // namespace

TEMPLATE_TEST_CASE("elements are zero, also in recycled memory", "", Array<int>, RawArray<int>) {
  const std::size_t sizes[] = {10, 10, 100000, 100000};
  for (const std::size_t size : sizes) {
    TestType array(size);
    CHECK(array.size() == size);
    CHECK(std::ranges::all_of(array, [](int value) { return value == 0; }));
    CHECK(shm::contains(array.data(), size * sizeof(int)));
    std::ranges::fill(array, -1);
  }
  CHECK(shm::close_heap_if_unused());
}

TEMPLATE_TEST_CASE("copies share, clones do not, const handles may write", "", Array<int>,
                   RawArray<int>) {
  {
    const TestType array(3, 7);
    TestType copy;
    copy = array;
    const auto clone = array.clone();
    array[0] = 1;
    copy.span()[1] = 2;
    CHECK(std::ranges::equal(array, std::array{1, 2, 7}));
    CHECK(std::ranges::equal(copy, array));
    CHECK(std::ranges::equal(clone, std::array{7, 7, 7}));
    CHECK(copy.data() == array.data());
    CHECK(clone.data() != array.data());
  }
  CHECK(shared_heap().used() == 0);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("arrays are made of every kind of range") {
  {
    CHECK(std::ranges::equal(Array(std::vector{1, 2, 3}), std::array{1, 2, 3}));
    CHECK(std::ranges::equal(Array<double>(std::list{1, 2, 3}), std::array{1., 2., 3.}));
    CHECK(std::ranges::equal(RawArray<int>(std::array{0, 1, 2}), std::array{0, 1, 2}));
    CHECK(std::ranges::equal(Array<int>(ReadOnce("4 5 6")), std::array{4, 5, 6}));
    CHECK(Array(std::vector<int>()).empty());
    CHECK(Array(2, 1.5)[1] == 1.5);
    const RawArray first(std::vector{1, 2});
    RawArray second(first);  // a copy of the handle, not a range
    CHECK(second.data() == first.data());
    second = {};
    const Array<int> of_other_kind(first);
    CHECK(of_other_kind.data() != first.data());
  }
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("handles moved from or made of nothing are empty") {
  {
    Array<int> array(3, 1);
    Array<int> moved = std::move(array);
    CHECK(array.size() == 0);  // NOLINT(bugprone-use-after-move)
    CHECK(array.data() == nullptr);
    CHECK(moved.size() == 3);
    array = moved;
    moved = std::move(array);
    CHECK(moved[2] == 1);
    Array<int>& same = moved;
    moved = same;
    moved = std::move(same);
    CHECK(moved.size() == 3);
    CHECK(Array<int>().data() == nullptr);
    CHECK(Array<int>().begin() == Array<int>().end());
    CHECK(Array<int>(0).empty());
  }
  CHECK(shared_heap().used() == 0);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("a read-only view refers to the same elements") {
  {
    const Array<int> array(2, 5);
    const Array<const int> view = array;
    array[1] = 6;
    CHECK(view[1] == 6);
    static_assert(std::is_same_v<decltype(view[0]), const int&>);
    static_assert(std::is_same_v<decltype(view.clone()), Array<int>>);
    CHECK(view.clone()[0] == 5);
  }
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("an index out of range and too many elements are named") {
  {
    const Array<int> array(3);
    CHECK_THROWS_WITH(array.at(3), "index 3 of a shared array of 3 elements");
    CHECK(array.at(2) == 0);
    const std::size_t huge = std::numeric_limits<std::size_t>::max() / 4;
    CHECK_THROWS_AS(Array<int>(huge), SharedMemoryError);
    CHECK_THROWS_AS(Array<double>(huge), SharedMemoryError);
    CHECK_THROWS_AS(RawArray<double>(std::size_t{1} << 40, 1.0), SharedMemoryError);
  }
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("elements keep their alignment") {
  struct alignas(256) Wide {
    char text[256];
  };
  {
    const Array<Wide> array(3);
    CHECK(reinterpret_cast<std::uintptr_t>(array.data()) % 256 == 0);
    const Array<char> bytes(3);
    CHECK(reinterpret_cast<std::uintptr_t>(bytes.data()) % 64 == 0);
  }
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("a member that assigns to an inherited handle does not free its parent's array",
          "[process]") {
  {
    Array<int> array(1000, 3);
    const auto use = [&] {
      const bool same = array[999] == 3;
      array[0] += 1;
      array = Array<int>(5, 9);
      Array<int> second = array;
      array = {};
      return same && second[4] == 9;
    };
    for (int i = 0; i < 5; ++i) CHECK(holds_in_member(use));
    CHECK(array[0] == 8);
    CHECK(array[999] == 3);
    CHECK(shared_heap().used() == 4096);  // the class of 1000 elements and the count
  }
  CHECK(shared_heap().used() == 0);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("a handle moved out of an inherited one counts for the member", "[process]") {
  {
    Array<int> array(1000, 3);
    CHECK(holds_in_member([&] {
      { const Array<int> taken = std::move(array); }
      return array.empty();  // NOLINT(bugprone-use-after-move)
    }));
    CHECK(array[5] == 3);
  }
  CHECK(shared_heap().used() == 0);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("a handle that lies in the heap passes its count to whoever takes it", "[process]") {
  {
    void* place = shm::allocate(sizeof(Array<int>));
    auto* result = new (place) Array<int>();
    CHECK(holds_in_member([&] {
      *result = Array<int>(1000, 4);
      return true;
    }));
    const Array<int> taken = std::move(*result);
    CHECK(taken[999] == 4);
    result->~Array();
    shm::deallocate(place);
  }
  CHECK(shared_heap().used() == 0);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("a child that somebody else forked reads, copies, and counts nothing", "[process]") {
  {
    Array<int> array(10, 1);
    CHECK(holds_in_child([&] {
      Array<int> copy = array;
      copy[1] = 2;
      copy = {};
      array = {};
      try {
        shm::allocate(1);
      } catch (const SharedMemoryError& error) {
        return std::string(error.what()).find("forked") != std::string::npos;
      }
      return false;
    }));
    CHECK(array[1] == 2);
    CHECK(array[9] == 1);
  }
  CHECK(shared_heap().used() == 0);
  CHECK(shm::close_heap_if_unused());
}

}  // namespace heap_test
