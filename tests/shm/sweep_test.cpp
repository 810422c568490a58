// A member is killed at every instruction of each operation of the heap, as far as that makes a
// difference: after every change of shared memory or of its pages. What survives must be sound.
// Not under sanitizers: a step at a time, their instructions take minutes.
#include "support.hpp"
#if defined(__x86_64__) || defined(__aarch64__)
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <procyon/shm/heap.hpp>

#include "catch.hpp"

namespace heap_test {
using procyon::shared_heap;

namespace {

/// Shared with the child; not in the heap, so that it changes nothing there.
struct Stage {
  std::atomic<bool> started;
  std::atomic<bool> done;
  void* block;         // what the case is about
  std::uint16_t slot;  // a member that died before and is not yet recovered
};

Stage* const the_stage =
    new (mmap(nullptr, sizeof(Stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
        Stage{};

Stage& stage() { return *the_stage; }

struct Case {
  std::function<void()> before;   // in the program: makes the scene
  std::function<void()> prepare;  // in the member, before the operation
  std::function<void()> operate;  // in the member, killed on the way
  std::function<void()> after;    // in the program, after recovery: frees what is left
  std::size_t dense = 60;         // so many changes one by one, then every fifth
};

/// A number that changes when anything in the heap's books, or what the kernel holds, changes.
std::uint64_t fingerprint() {
  std::uint64_t hash = shm::backed_bytes();
  const auto mix = [&](const void* from, std::size_t bytes) {
    const auto* words = static_cast<const std::uint64_t*>(from);
    for (std::size_t i = 0; i < bytes / 8; ++i) hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15;
  };
  const shm::Header& header = *shm::region.header;
  mix(&header.frontier, 8);
  mix(&header.spare, 8);
  mix(header.members, 8 * sizeof(shm::Member));
  mix(header.intents, 8 * sizeof(shm::Intent));
  // Not `complete_frontier`, which would change what is to be looked at.
  const std::uint32_t end = shm::frontier_of(header.frontier.load()).end;
  const std::uint32_t known = std::min(end, 160U);
  mix(shm::region.chunks, known * sizeof(shm::Chunk));
  for (std::uint32_t chunk = 0; chunk < known; ++chunk) {
    const std::uint32_t bytes = shm::region.chunks[chunk].word_bytes.load();
    if (bytes > 0) mix(shm::chunk_words(chunk), std::min(bytes, 512U));
  }
  return hash;
}

/// One run of the operation: stops the member after the n-th change, and kills it there.
/// False: the operation ended before.
bool kill_after(const Child& child, std::size_t changes) {
  int status = wait_for(child.pid);  // it has stopped itself
  while (WIFSTOPPED(status) && !stage().started) {
    ptrace(PTRACE_SINGLESTEP, child.pid, 0, 0);
    status = wait_for(child.pid);
  }
  std::uint64_t seen = fingerprint();
  while (WIFSTOPPED(status) && changes > 0 && !stage().done) {
    ptrace(PTRACE_SINGLESTEP, child.pid, 0, 0);
    status = wait_for(child.pid);
    const std::uint64_t now = fingerprint();
    changes -= now != seen;
    seen = now;
  }
  const bool on_the_way = WIFSTOPPED(status) && !stage().done;
  kill(child.pid, SIGKILL);
  if (WIFSTOPPED(status)) wait_for(child.pid);
  return on_the_way;
}

Child start(const Case& one) {
  stage().started = false;
  stage().done = false;
  return fork_member([&] {
    one.prepare();
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    stage().started = true;
    one.operate();
    stage().done = true;
    return true;
  });
}

/// What must hold after a death, whatever it interrupted. Empty: it does.
std::string judge(const Case& one, Child child) {
  recover(child.id);
  if (stage().slot != 0) recover({std::exchange(stage().slot, std::uint16_t{0}), 0});
  if (std::string fault = find_fault(); !fault.empty()) return fault;
  if (!holds_in_member(can_use_heap)) return "a member cannot go on";
  if (!can_use_heap()) return "the program cannot go on";
  one.after();
  if (shared_heap().used() != 0) return "blocks are left";
  if (!find_fault().empty()) return "at the end " + find_fault();
  return shm::close_heap_if_unused() ? "" : "the heap does not close";
}

/// Runs the operation again and again, killed one change later each time, until it ends.
void sweep(const Case& one) {
  if (is_sanitized) return;
  std::size_t points = 0;
  bool on_the_way = true;
  for (std::size_t changes = 0; on_the_way; changes += changes < one.dense ? 1 : 5, ++points) {
    one.before();
    const Child child = start(one);
    on_the_way = kill_after(child, changes);
    INFO("killed after " << changes << " changes");
    REQUIRE(judge(one, child) == sound);
  }
  // One point at least lies between the first change and the end.
  CHECK(points > 1);
}

void nothing() {}

}  // namespace

TEST_CASE("death in allocating: the first small block of a process", "[process][sweep]") {
  sweep({shm::open_heap, nothing, [] { shm::allocate(100); }, nothing});
}

TEST_CASE("death in allocating: a small block from a slab in use", "[process][sweep]") {
  sweep({shm::open_heap, [] { shm::allocate(100); }, [] { shm::allocate(100); }, nothing});
}

TEST_CASE("death in allocating: a large block", "[process][sweep]") {
  sweep({shm::open_heap, [] { shm::allocate(100); }, [] { shm::allocate(200000); }, nothing});
}

TEST_CASE("death in giving", "[process][sweep]") {
  for (const std::size_t size : {std::size_t{100}, std::size_t{100000}}) {
    sweep({shm::open_heap, [=] { stage().block = shm::allocate(size); },
           [] { shm::give(stage().block); },
           [] {
             const auto given = given_blocks();
             if (!given.empty()) shm::deallocate(given.front());
             stage().block = nullptr;
           }});
  }
}

TEST_CASE("death in freeing: the program's blocks", "[process][sweep]") {
  for (const std::size_t size : {std::size_t{100}, std::size_t{100000}}) {
    sweep({[=] {
             stage().block = shm::allocate(size);
             shm::give(stage().block);
           },
           nothing, [] { shm::deallocate(stage().block); },
           [] {
             for (void* block : given_blocks()) shm::deallocate(block);
           }});
  }
}

TEST_CASE("death in freeing: the last block of an own slab", "[process][sweep]") {
  const auto prepare = [] {
    void* first = shm::allocate(30000);
    void* second = shm::allocate(30000);
    shm::allocate(30000);  // of another slab, which is the current one from now on
    shm::deallocate(first);
    stage().block = second;
  };
  sweep({shm::open_heap, prepare, [] { shm::deallocate(stage().block); }, nothing});
}

TEST_CASE("death in giving pages back", "[process][sweep]") {
  const Environment environment("PROCYON_SHARED_MEMORY", "8M");  // keeps 1 MiB for reuse
  const auto free_given = [] {
    for (void* block : given_blocks()) shm::deallocate(block);
  };
  const auto make = [] {
    stage().block = shm::allocate(1100000);
    shm::give(stage().block);
  };
  const auto free_it = [] { shm::deallocate(stage().block); };
  SECTION("of another's block") { sweep({make, nothing, free_it, free_given}); }
  SECTION("of an own block") { sweep({shm::open_heap, make, free_it, free_given}); }
  SECTION("of slabs") {
    const auto prepare = [] {
      void* kept = shm::allocate(1000000);
      shm::deallocate(kept);
      std::vector<void*> blocks;
      blocks.reserve(40);
      for (int i = 0; i < 40; ++i) blocks.push_back(shm::allocate(30000));
      for (int i = 0; i < 37; ++i) shm::deallocate(blocks[static_cast<std::size_t>(i)]);
      stage().block = blocks[37];
    };
    sweep({shm::open_heap, prepare, free_it, free_given});
  }
}

TEST_CASE("death in adopting what a dead process left", "[process][sweep]") {
  const auto leave = [] {
    shm::open_heap();
    finish(fork_member([] {
      shm::give(shm::allocate(100));
      shm::give(shm::allocate(100000));
      shm::allocate(5000);
      return true;
    }));
  };
  const auto free_given = [] {
    for (void* block : given_blocks()) shm::deallocate(block);
  };
  for (const std::size_t size : {std::size_t{100}, std::size_t{3000}, std::size_t{200000}}) {
    sweep({leave, nothing, [=] { shm::allocate(size); }, free_given});
  }
}

TEST_CASE("death in joining extents", "[process][sweep]") {
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  const rlimit small{11U << 20, old.rlim_max};  // 64 chunks: the frontier is soon at its end
  setrlimit(RLIMIT_FSIZE, &small);
  const auto leave = [] {
    shm::open_heap();
    for (int i = 0; i < 3; ++i) {
      const Child child = fork_member([] {
        shm::allocate(1);
        shm::claim_extent(10);
        return true;
      });
      wait_for(child.pid);
    }
    for (std::uint16_t slot = 2; slot <= 4; ++slot) recover({slot, 0});
  };
  Case one{leave, nothing, [] { shm::allocate(std::size_t{50} << 16); }, nothing};
  one.dense = 20;
  sweep(one);
  setrlimit(RLIMIT_FSIZE, &old);
}

TEST_CASE("death in recovering a dead process", "[process][sweep]") {
  const Environment environment("PROCYON_SHARED_MEMORY", "8M");
  const auto leave_dead = [] {
    shm::open_heap();
    const Child child = fork_member([] {
      shm::give(shm::allocate(100));
      shm::allocate(100);
      shm::allocate(5000);
      shm::give(shm::allocate(70000));
      shm::allocate(1100000);
      shm::deallocate(shm::allocate(150000));
      return true;
    });
    wait_for(child.pid);
    shm::members()[child.id.slot].state = shm::Member::dead;
    stage().slot = child.id.slot;
  };
  const auto free_given = [] {
    for (void* block : given_blocks()) shm::deallocate(block);
  };
  Case one{leave_dead, nothing, [] { shm::recover_member(stage().slot); }, free_given};
  one.dense = 30;
  sweep(one);
}

TEST_CASE("death in giving pages back, and in recovering from that", "[process][sweep]") {
  const Environment environment("PROCYON_SHARED_MEMORY", "8M");
  const auto die_giving_back = [] {
    stage().block = shm::allocate(1100000);
    shm::give(stage().block);
    stage().slot = 0;
    const Case inner{nothing, nothing, [] { shm::deallocate(stage().block); }, nothing};
    const Child child = start(inner);
    kill_after(child, 20);
    shm::members()[child.id.slot].state = shm::Member::dead;
    stage().slot = child.id.slot;
  };
  const auto free_given = [] {
    for (void* block : given_blocks()) shm::deallocate(block);
  };
  sweep({die_giving_back, nothing, [] { shm::recover_member(stage().slot); }, free_given});
}

}  // namespace heap_test
#endif
