// What is left of a dead worker, kind by kind, and what recovery makes of it.
#include <csignal>
#include <vector>

#include "support.hpp"

using hand_made::die_after;
using hand_made::HandMadePool;
using procyon::engine::Cursor;
using procyon::engine::Failure;
using procyon::engine::Job;
using procyon::engine::Lease;
namespace shm = procyon::shm;

namespace {

bool is_finished(const Job& job) { return (job.state.load() & Job::finished) != 0; }

Failure* make_failure(std::uint64_t item) {
  auto* failure = static_cast<Failure*>(shm::allocate(sizeof(Failure), 128));
  *failure = {};
  failure->item = item;
  failure->kind = Failure::Kind::crashed;
  return failure;
}

}  // namespace

TEST_CASE("a chunk that was claimed and not begun is handed on, and nobody is guilty") {
  HandMadePool pool(3);
  pool.submit(2, 10);
  pool.claim(1, 1, 4);
  const auto bell = pool.state().bell.load();
  pool.recover(1);
  CHECK(pool.lease(1).state == Lease::ready);
  CHECK(pool.lease(1).attempt == 4);
  CHECK(pool.lease(1).owner == 0);
  CHECK(pool.lease(1).resume == 0);
  CHECK(pool.lease(0).state == Lease::ready);
  CHECK(pool.job().failure.load() == nullptr);
  CHECK_FALSE(is_finished(pool.job()));
  CHECK(pool.slot(1).job.load() == 0);
  CHECK(pool.state().rescan.load() != 0);
  CHECK(pool.state().bell.load() != bell);
}

TEST_CASE("an item that was begun fails with the death of its worker") {
  HandMadePool pool(3);
  pool.submit(1, 10);
  pool.claim(2, 0);
  pool.slot(2).item.store(7);
  pool.recover(2, 4711, SIGSEGV);
  CHECK(pool.lease().state == Lease::done);
  CHECK(is_finished(pool.job()));
  CHECK(pool.job().bound.load() == 7);
  const Failure* failure = pool.job().failure.load();
  REQUIRE(failure != nullptr);
  CHECK(failure->kind == Failure::Kind::crashed);
  CHECK(failure->item == 7);
  CHECK(failure->pid == 4711);
  CHECK(failure->status == SIGSEGV);
  CHECK(failure->attempt == 1);
  CHECK(failure->next == nullptr);
}

TEST_CASE("a crash above an earlier failure does not replace it, and leaves no block") {
  HandMadePool pool(2);
  pool.submit(2, 10);
  pool.set_lease(0, {Lease::done, 0, 0, 0});
  Failure* const earlier = make_failure(3);
  shm::give(earlier);
  pool.job().failure.store(earlier);
  pool.job().bound.store(3);
  pool.claim(0, 1);
  pool.slot(0).item.store(12);
  const std::size_t before = procyon::shared_heap().used();
  pool.recover(0);
  CHECK(pool.job().failure.load() == earlier);
  CHECK(pool.job().bound.load() == 3);
  CHECK(is_finished(pool.job()));
  CHECK(procyon::shared_heap().used() == before);
}

TEST_CASE("a batch is handed on from where it began, one attempt later") {
  HandMadePool pool(2);
  pool.submit(3, 1000);
  for (const unsigned attempt : {0U, 5U, Lease::max_attempt}) {
    pool.claim(0, 2, attempt);
    pool.slot(0).item.store(2144 | Cursor::batch_flag);
    pool.recover(0);
    CHECK(pool.lease(2).state == Lease::ready);
    CHECK(pool.lease(2).resume == 144);
    CHECK(pool.lease(2).attempt == std::min(attempt + 1, Lease::max_attempt));
  }
  CHECK(pool.job().failure.load() == nullptr);
}

TEST_CASE("a chunk that was done and not counted is counted by whoever looks at the leases") {
  HandMadePool pool(2);
  pool.submit(2, 1);
  pool.claim(0, 0);
  pool.set_lease(0, {Lease::done, 0, 1, 0});
  pool.slot(0).item.store(0);
  pool.recover(0);
  CHECK_FALSE(is_finished(pool.job()));
  CHECK(pool.job().recount.load() == 1);
  pool.claim(1, 1);
  pool.set_lease(1, {Lease::done, 0, 2, 0});
  pool.recover(1);
  CHECK(is_finished(pool.job()));
  CHECK(pool.job().failure.load() == nullptr);
}

TEST_CASE("a chunk of somebody else's is left alone") {
  HandMadePool pool(3);
  pool.submit(1, 10);
  pool.claim(0, 0);
  pool.set_lease(0, {Lease::run, 0, 2, 0});  // worker 1 was faster
  pool.slot(0).item.store(4);
  pool.recover(0);
  CHECK(pool.lease().state == Lease::run);
  CHECK(pool.lease().owner == 2);
  CHECK_FALSE(is_finished(pool.job()));
}

TEST_CASE("a job that was released before the pin is nobody's") {
  HandMadePool pool(2);
  pool.submit(1, 10);
  pool.claim(0, 0);
  pool.slot(0).item.store(4);
  pool.job().generation.store(2);
  pool.recover(0);
  CHECK(pool.lease().state == Lease::run);
  CHECK_FALSE(is_finished(pool.job()));
  CHECK(pool.slot(0).job.load() == 0);
}

TEST_CASE("a dead worker neither sleeps nor spins any more") {
  HandMadePool pool(130);
  auto& state = pool.state();
  for (std::size_t i = 0; i < 3; ++i) {
    state.sleeping[i].store(~0ULL);
    state.spinning[i].store(~0ULL);
  }
  pool.recover(0);
  pool.recover(63);
  pool.recover(64);
  pool.recover(129);
  CHECK(state.sleeping[0].load() == (~0ULL ^ 1 ^ 1ULL << 63));
  CHECK(state.spinning[1].load() == (~0ULL ^ 1));
  CHECK(state.spinning[2].load() == (~0ULL ^ 2));
}

TEST_CASE("a block on its way into a job is kept if it arrived, and freed otherwise", "[process]") {
  for (const bool given : {false, true}) {
    for (const bool stored : {false, true}) {
      if (stored && !given) continue;  // never in this order
      HandMadePool pool(1);
      pool.submit(1, 1);
      auto** const home = reinterpret_cast<void**>(pool.job().inline_bytes);
      *home = nullptr;
      const std::size_t before = procyon::shared_heap().used();
      const std::uint16_t slot = die_after([&] {
        pool.claim(0, 0);
        void* block = shm::allocate(1000, 128);
        pool.slot(0).home.store(home);
        pool.slot(0).pending.store(block);
        if (given) shm::give(block);
        if (stored) *home = block;
      });
      pool.recover(0);
      shm::recover_member(slot);
      pool.recover(0);
      INFO("given " << given << ", stored " << stored);
      CHECK((procyon::shared_heap().used() > before) == stored);
      CHECK((*home != nullptr) == stored);
      shm::deallocate(*home);
      CHECK(procyon::shared_heap().used() == before);
    }
  }
}

TEST_CASE("a failure that arrived and was replaced by a lower one is not freed under the job",
          "[process]") {
  HandMadePool pool(2);
  pool.submit(2, 10);
  const std::uint16_t slot = die_after([&] {
    pool.claim(0, 1);
    Failure* const mine = make_failure(15);
    auto& word = pool.slot(0);
    word.item.store(15);
    word.home.store(reinterpret_cast<void**>(&pool.job().failure));
    word.pending.store(mine);
    shm::give(mine);
    pool.job().failure.store(mine);
  });
  Failure* const lower = make_failure(5);
  shm::give(lower);
  CHECK(offer_failure(pool.job(), lower));
  const std::size_t before = procyon::shared_heap().used();
  pool.recover(0);
  shm::recover_member(slot);
  CHECK(pool.job().failure.load() == lower);
  REQUIRE(lower->next != nullptr);
  CHECK(lower->next->item == 15);
  CHECK(procyon::shared_heap().used() == before);
}

TEST_CASE("a job that keeps going goes on behind the item that crashed, with every failure kept") {
  HandMadePool pool(2);
  pool.submit(2, 10);
  pool.job().keep_going = 1;
  for (const std::uint64_t item : {13U, 17U}) {
    pool.claim(0, 1);
    pool.slot(0).item.store(item);
    pool.recover(0);
    CHECK(pool.lease(1).state == Lease::ready);
    CHECK(pool.lease(1).resume == item + 1 - 10);
    CHECK(pool.lease(1).attempt == 0);
  }
  pool.claim(0, 1);
  pool.slot(0).item.store(19);
  pool.recover(0);
  CHECK(pool.lease(1).state == Lease::done);
  CHECK(pool.job().bound.load() == procyon::engine::no_item);
  std::vector<std::uint64_t> items;
  for (const Failure* each = pool.job().failure.load(); each != nullptr; each = each->next) {
    items.push_back(each->item);
  }
  CHECK(items == std::vector<std::uint64_t>{19, 17, 13});
}

TEST_CASE("a death in a job that was cancelled is charged to nobody") {
  for (const std::uint32_t keep_going : {0U, 1U}) {
    HandMadePool pool(2);
    pool.submit(1, 10);
    pool.job().keep_going = static_cast<std::uint16_t>(keep_going);
    Failure* const cancelled = make_failure(0);
    cancelled->kind = Failure::Kind::cancelled;
    shm::give(cancelled);
    CHECK(offer_failure(pool.job(), cancelled));
    CHECK(pool.job().bound.load() == 0);
    pool.claim(0, 0);
    pool.slot(0).item.store(4);
    pool.recover(0);
    CHECK(pool.lease().state == Lease::done);
    CHECK(is_finished(pool.job()));
    CHECK(pool.job().failure.load() == cancelled);
    CHECK(cancelled->next == nullptr);
  }
}
