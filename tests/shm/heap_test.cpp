// Blocks in one process.
#include <cstdint>
#include <cstring>
#include <set>
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

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;

std::string message_of(std::size_t bytes, std::size_t align = 64) {
  try {
    shm::deallocate(shm::allocate(bytes, align));
  } catch (const SharedMemoryError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("blocks of any size are aligned, apart from each other and counted") {
  std::vector<Filled> blocks;
  unsigned char pattern = 0;
  for (std::size_t size = 1; size < 3 * mib; size += size / 3 + 1) {
    blocks.push_back(Filled::make(size, pattern++));
  }
  std::size_t asked = 0;
  for (const Filled& block : blocks) {
    CHECK(reinterpret_cast<std::uintptr_t>(block.data) % 64 == 0);
    CHECK(shm::contains(block.data, block.bytes));
    CHECK(block.intact());
    asked += block.bytes;
  }
  CHECK(shared_heap().used() >= asked);
  CHECK(find_fault() == sound);
  for (const Filled& block : blocks) shm::deallocate(block.data);
  CHECK(shared_heap().used() == 0);
  CHECK(find_fault() == sound);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("alignments up to 64 KiB are given for every size") {
  std::vector<void*> blocks;
  for (std::size_t align = 1; align <= 64 * kib; align *= 2) {
    for (const std::size_t size : {std::size_t{1}, 100 * std::size_t{1}, 5 * kib, 200 * kib}) {
      blocks.push_back(shm::allocate(size, align));
      CHECK(reinterpret_cast<std::uintptr_t>(blocks.back()) % align == 0);
    }
  }
  for (void* block : blocks) shm::deallocate(block);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("impossible requests are refused by name and leave nothing") {
  CHECK(message_of(64, 3).find("aligned to 3") != std::string::npos);
  CHECK(message_of(64, 0).find("aligned to 0") != std::string::npos);
  CHECK(message_of(64, 128 * kib).find("aligned to 131072") != std::string::npos);
  CHECK(message_of(SIZE_MAX).find(std::to_string(SIZE_MAX)) != std::string::npos);
  CHECK(message_of(SIZE_MAX - 100).find("bytes") != std::string::npos);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("blocks of no bytes are blocks") {
  std::set<void*> blocks;
  for (int i = 0; i < 100; ++i) blocks.insert(shm::allocate(0));
  CHECK(blocks.size() == 100);
  CHECK(blocks.count(nullptr) == 0);
  for (void* block : blocks) shm::deallocate(block);
  shm::deallocate(nullptr);
  CHECK(shared_heap().used() == 0);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("a block belongs to its process until it is given") {
  for (const std::size_t size : {std::size_t{100}, 500 * kib}) {
    void* block = shm::allocate(size);
    CHECK(shm::block_owner(block) == shm::self());
    CHECK(shm::self() == shm::MemberId{1, 1});
    shm::give(block);
    CHECK(shm::block_owner(block) == shm::MemberId{});
    CHECK(shared_heap().used() > 0);
    shm::deallocate(block);
    CHECK(shared_heap().used() == 0);
  }
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("addresses outside the heap are not in it") {
  int local = 0;
  CHECK_FALSE(shm::contains(&local));
  CHECK_FALSE(shm::contains(nullptr));
  void* block = shm::allocate(1);
  CHECK_FALSE(shm::contains(&local));
  CHECK_FALSE(shm::contains(nullptr));
  CHECK(shm::contains(block));
  CHECK_FALSE(shm::contains(block, SIZE_MAX));
  shm::deallocate(block);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("large blocks go back to the kernel, small ones beyond a reserve") {
  shm::deallocate(shm::allocate(1));
  const std::size_t before = shared_heap().reserved();
  std::vector<void*> blocks;
  for (int i = 0; i < 20; ++i) {
    blocks.push_back(shm::allocate(10 * mib));
    std::memset(blocks.back(), 1, 10 * mib);
  }
  for (int i = 0; i < 400; ++i) blocks.push_back(shm::allocate(500 * kib));
  for (int i = 0; i < 200000; ++i) blocks.push_back(shm::allocate(1000));
  CHECK(shared_heap().reserved() > 500 * mib);
  for (void* block : blocks) shm::deallocate(block);
  CHECK(shared_heap().used() == 0);
  CHECK(shared_heap().reserved() < before + 80 * mib);
  CHECK(find_fault() == sound);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("blocks that grow step by step do not use the address range up") {
  // The sum of the sizes is several times the range.
  for (std::size_t gib = 1; gib <= 40; ++gib) {
    shm::open_heap();
    const auto chunks = static_cast<std::uint32_t>(gib << 30 >> 16);
    shm::claim_extent(chunks);
    CHECK(find_fault() == sound);
  }
  CHECK(shm::complete_frontier() == std::size_t{40} << 30 >> 16);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("the heap lies in the window that sanitizers and libraries leave free") {
  std::set<void*> places;
  for (int i = 0; i < 20; ++i) {
    void* block = shm::allocate(1);
    const auto address = reinterpret_cast<std::uintptr_t>(shm::region.header);
#if defined(__x86_64__)
    CHECK(address >= 0x7e8000000000);
    CHECK(address + (std::uintptr_t{64} << 30) < 0x7ef000000000);
#endif
    CHECK(address % (2 * mib) == 0);
    places.insert(block);
    shm::deallocate(block);
    CHECK(shm::close_heap_if_unused());
  }
  CHECK(places.size() > 10);
}

TEST_CASE("the heap closes when nothing is in use and not before") {
  CHECK(heap_mappings() == 0);
  void* block = shm::allocate(1);
  CHECK(heap_mappings() > 0);
  CHECK_FALSE(shm::close_heap_if_unused());
  shm::deallocate(block);
  const shm::MemberId other = shm::reserve_member(shm::MemberKind::worker);
  CHECK(other == shm::MemberId{2, 1});
  CHECK_FALSE(shm::close_heap_if_unused());
  recover(other);
  CHECK(shm::close_heap_if_unused());
  CHECK(shm::close_heap_if_unused());
  CHECK(heap_mappings() == 0);
  CHECK_FALSE(shm::contains(block));
  CHECK(shm::self() == shm::MemberId{});
}

TEST_CASE("slots of members come back with another epoch") {
  shm::open_heap();
  std::vector<shm::MemberId> ids;
  for (;;) {
    ids.push_back(shm::reserve_member(shm::MemberKind::worker));
    if (ids.back() == shm::MemberId{}) break;
  }
  CHECK(ids.size() == shm::max_members);
  ids.pop_back();
  recover(ids[5]);
  const shm::MemberId again = shm::reserve_member(shm::MemberKind::worker);
  CHECK(again.slot == ids[5].slot);
  CHECK(again.epoch == ids[5].epoch + 1);
  for (const shm::MemberId id : ids) recover(id);
  CHECK(shm::close_heap_if_unused());
}

}  // namespace heap_test
