// Words and places that processes agree on.
#include <cstdint>
#include <vector>

#include "support.hpp"

using procyon::engine::first_block;
using procyon::engine::jobs_before;
using procyon::engine::Lease;
using procyon::engine::max_blocks;
using procyon::engine::max_items;
using procyon::engine::max_workers;
using procyon::engine::place_of;

TEST_CASE("a lease word keeps each of its parts to the limits") {
  for (const auto state : {Lease::none, Lease::ready, Lease::run, Lease::done}) {
    for (const unsigned attempt : {0U, 1U, Lease::max_attempt}) {
      for (const std::uint32_t owner : {0U, 1U, static_cast<std::uint32_t>(max_workers)}) {
        for (const std::uint64_t resume : {std::uint64_t{0}, std::uint64_t{1}, max_items - 1}) {
          const Lease lease = Lease::unpack(Lease{state, attempt, owner, resume}.pack());
          CHECK(lease.state == state);
          CHECK(lease.attempt == attempt);
          CHECK(lease.owner == owner);
          CHECK(lease.resume == resume);
        }
      }
    }
  }
}

TEST_CASE("every job has a place of its own, in blocks that double") {
  std::uint32_t expected_block = 0;
  std::uint32_t expected_offset = 0;
  std::size_t wrong = 0;
  for (std::uint32_t index = 0; index < jobs_before(14); ++index) {
    const auto place = place_of(index);
    wrong += place.block != expected_block || place.offset != expected_offset ? 1 : 0;
    if (++expected_offset == first_block << expected_block) {
      ++expected_block;
      expected_offset = 0;
    }
  }
  CHECK(wrong == 0);
  const std::uint32_t last = jobs_before(max_blocks) - 1;
  CHECK(place_of(last).block == max_blocks - 1);
  CHECK(jobs_before(max_blocks) > jobs_before(max_blocks - 1));
}
