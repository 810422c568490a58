// Several processes at one heap, and what is left when they die.
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <random>
#include <vector>

#include <procyon/base/errors.hpp>
#include <procyon/shm/heap.hpp>

#include "catch.hpp"
#include "support.hpp"

namespace heap_test {
using procyon::shared_heap;

namespace {

/// Blocks that any process may take and free: places in the heap, exchanged by one instruction. A
/// block begins with its own size and pattern.
struct Board {
  static constexpr std::size_t places = 64;
  std::atomic<unsigned char*> place[places];
};

struct Label {
  std::size_t bytes;
  unsigned char pattern;
};

unsigned char* make_block(std::mt19937& random) {
  const std::size_t sizes[] = {24, 64, 200, 1000, 4000, 20000, 40000, 100000};
  const std::size_t bytes = sizes[random() % std::size(sizes)];
  const auto pattern = static_cast<unsigned char>(random());
  auto* block = static_cast<unsigned char*>(shm::allocate(bytes));
  std::memset(block, pattern, bytes);
  const Label label{bytes, pattern};
  std::memcpy(block, &label, sizeof(label));
  return block;
}

bool is_intact(const unsigned char* block) {
  if (block == nullptr) return true;
  Label label{};
  std::memcpy(&label, block, sizeof(label));
  const auto same = [&](unsigned char byte) { return byte == label.pattern; };
  return std::all_of(block + sizeof(label), block + label.bytes, same);
}

/// Exchanges blocks with the other processes until told, or until a block is not what it was.
bool exchange(Board& board, unsigned seed, int rounds) {
  std::mt19937 random(seed);
  for (int i = 0; i < rounds; ++i) {
    unsigned char* mine = make_block(random);
    shm::give(mine);
    unsigned char* other = board.place[random() % Board::places].exchange(mine);
    if (!is_intact(other)) return false;
    shm::deallocate(other);
  }
  return true;
}

Board& make_board() { return *new (shm::allocate(sizeof(Board))) Board{}; }

/// Frees what the board holds, and the board; whether all was intact.
bool clear(Board& board) {
  bool intact = true;
  for (auto& place : board.place) {
    intact = intact && is_intact(place);
    shm::deallocate(place);
  }
  shm::deallocate(&board);
  return intact;
}

/// Frees the given blocks that are not on the board: what a dead process had in its hand. How many.
std::size_t free_unreachable(Board& board) {
  std::size_t count = 0;
  for (void* block : given_blocks()) {
    const auto is_there = [&](const auto& place) { return place.load() == block; };
    if (std::ranges::any_of(board.place, is_there)) continue;
    shm::deallocate(block);
    ++count;
  }
  return count;
}

void sleep_ns(long ns) {
  const timespec time{0, ns};
  nanosleep(&time, nullptr);
}

}  // namespace

TEST_CASE("processes that free each other's blocks never get the same block twice", "[process]") {
  Board& board = make_board();
  std::vector<Child> children;
  for (unsigned seed = 1; seed <= 4; ++seed) {
    children.push_back(fork_member([&board, seed] { return exchange(board, seed, 5000); }));
  }
  for (const Child& child : children) CHECK(finish(child) == 0);
  CHECK(find_fault() == sound);
  CHECK(clear(board));
  CHECK(shared_heap().used() == 0);
  CHECK(find_fault() == sound);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("a block means the same in every process", "[process]") {
  const Filled block = Filled::make(1000, 7);
  CHECK(holds_in_member([&] {
    const bool seen = block.intact() && shm::contains(block.data) &&
                      shm::block_owner(block.data) == shm::MemberId{1, 1};
    block.data[0] = 8;
    return seen;
  }));
  CHECK(block.data[0] == 8);
  shm::deallocate(block.data);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("a death frees what was not given, and nothing else", "[process]") {
  auto* kept = new (shm::allocate(sizeof(std::atomic<Filled*>))) std::atomic<Filled*>(nullptr);
  const std::size_t before = shared_heap().used();
  CHECK(holds_in_member([&] {
    auto* blocks = static_cast<Filled*>(shm::allocate(4 * sizeof(Filled)));
    const std::size_t sizes[] = {100, 100000, 5000, 3000000};
    for (int i = 0; i < 4; ++i) {
      blocks[i] = Filled::make(sizes[i], static_cast<unsigned char>(i));
      shm::give(blocks[i].data);
      Filled::make(sizes[i], 9);
    }
    shm::give(blocks);
    *kept = blocks;
    return shared_heap().used() > 6000000;
  }));
  CHECK(shared_heap().used() < before + 3300000);
  CHECK(shared_heap().used() > before + 3105100);
  for (int i = 0; i < 4; ++i) {
    CHECK(kept->load()[i].intact());
    CHECK(shm::block_owner(kept->load()[i].data) == shm::MemberId{});
    shm::deallocate(kept->load()[i].data);
  }
  shm::deallocate(kept->load());
  CHECK(shared_heap().used() == before);
  shm::deallocate(kept);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("a child of somebody else's frees nothing of its parent's", "[process]") {
  const Filled small = Filled::make(100, 1);
  const Filled large = Filled::make(100000, 2);
  const std::size_t used = shared_heap().used();
  CHECK(holds_in_child([&] {
    shm::deallocate(small.data);
    shm::deallocate(large.data);
    shm::give(small.data);
    return small.intact() && shm::self() == shm::MemberId{} && shared_heap().used() == used &&
           !shm::close_heap_if_unused();
  }));
  CHECK(shared_heap().used() == used);
  CHECK(shm::block_owner(small.data) == shm::self());
  shm::deallocate(small.data);
  shm::deallocate(large.data);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("a child whose slot was taken back ends instead of joining", "[process]") {
  shm::open_heap();
  const shm::MemberId id = shm::reserve_member(shm::MemberKind::worker);
  recover(id);
  const int status = wait_for(fork_plain([&] {
    shm::become_member(id);
    return true;
  }));
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 1);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("generations of processes use the same memory again", "[process]") {
  Board& board = make_board();
  const auto generation = [&](unsigned seed) {
    CHECK(holds_in_member([&] {
      for (int i = 0; i < 300; ++i) Filled::make(3000, 1);
      for (int i = 0; i < 20; ++i) Filled::make(100000, 1);
      return exchange(board, seed, 300);
    }));
  };
  for (unsigned seed = 0; seed < 10; ++seed) generation(seed);
  const std::size_t reserved = shared_heap().reserved();
  const std::uint32_t frontier = shm::complete_frontier();
  for (unsigned seed = 10; seed < 60; ++seed) generation(seed);
  CHECK(shared_heap().reserved() < reserved + (8 << 20));
  CHECK(shm::complete_frontier() < frontier + 256);
  CHECK(find_fault() == sound);
  CHECK(clear(board));
  CHECK(shared_heap().used() == 0);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("an orphan that somebody filled since it was seen free is not joined", "[process]") {
  shm::open_heap();
  shm::deallocate(shm::allocate(1));
  CHECK(holds_in_member([] {
    shm::deallocate(shm::allocate(20 << 16));
    return true;
  }));
  const shm::Streak streak = shm::find_streak(20);
  REQUIRE(streak.length >= 20);
  auto* place = new (shm::allocate(sizeof(void*))) std::atomic<void*>(nullptr);
  CHECK(holds_in_member([&] {
    void* block = shm::allocate(20 << 16);
    std::memset(block, 7, 20 << 16);
    shm::give(block);
    *place = block;
    return true;
  }));
  void* const block = *place;
  CHECK(block == shm::chunk_address(streak.first));
  CHECK_FALSE(shm::own_streak(streak));
  CHECK(Filled{static_cast<unsigned char*>(block), 20 << 16, 7}.intact());
  CHECK(find_fault() == sound);
  shm::deallocate(block);
  CHECK(shm::own_streak(shm::find_streak(20)));
  shm::deallocate(place);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("a huge block that another process frees can be had by a third", "[process]") {
  const std::size_t bytes = std::size_t{80} << 20;
  auto* let_go = new (shm::allocate(1)) std::atomic<bool>(false);
  auto* place = new (shm::allocate(sizeof(void*))) std::atomic<void*>(nullptr);
  const Child holder = fork_member([&] {
    void* block = shm::allocate(bytes);
    shm::give(block);
    *place = block;
    while (!*let_go) sched_yield();
    return true;
  });
  while (*place == nullptr) sched_yield();
  void* first = *place;
  shm::deallocate(first);
  void* second = shm::allocate(bytes);
  CHECK(second == first);
  shm::deallocate(second);
  *let_go = true;
  CHECK(finish(holder) == 0);
  shm::deallocate(let_go);
  shm::deallocate(place);
  CHECK(shm::close_heap_if_unused());
}

TEST_CASE("deaths at any of 2,000 moments lose no memory and no block", "[process]") {
  Board& board = make_board();
  std::mt19937 random(1);
  std::size_t reserved = 0;
  int good = 0;
  constexpr int kills = is_sanitized ? 200 : 2000;
  for (int i = 0; i < kills; ++i) {
    const auto seed = static_cast<unsigned>(random());
    const Child child = fork_member([&] { return exchange(board, seed, 1 << 30); });
    sleep_ns(static_cast<long>(random() % 1500000));
    kill(child.pid, SIGKILL);
    finish(child);
    const bool intact =
        std::ranges::all_of(board.place, [](const auto& place) { return is_intact(place); });
    // A process has one given block in its hand at most; `find_fault` sees blocks of the dead.
    good += intact && free_unreachable(board) <= 1 && find_fault().empty();
    if (i == kills / 10) reserved = shared_heap().reserved();
  }
  CHECK(good == kills);
  CHECK(shared_heap().reserved() < reserved + (std::size_t{16} << 20));
  CHECK(shm::complete_frontier() < 1024);
  CHECK(clear(board));
  CHECK(shared_heap().used() == 0);
  CHECK(shm::close_heap_if_unused());
}

}  // namespace heap_test
