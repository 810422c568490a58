#include "shm/attachment.hpp"

#include <procyon/shm/array.hpp>

#include "shm/files.hpp"
#include "shm/local.hpp"
#include "shm/opening.hpp"
#include "shm/reservation.hpp"

#include <utility>

namespace procyon::shm {

HeapTicket heap_ticket() noexcept {
  return {reinterpret_cast<std::uint64_t>(region.header), region.limit, region.header->chunks};
}

int heap_descriptor() noexcept { return region.fd; }

void leave_heap() noexcept {
  if (region.base.load(std::memory_order_relaxed) == nullptr) return;
  self_word.store(0, std::memory_order_relaxed);
  region.fd = -1;  // the number may be another's by now
  unreserve();
  reset_local();
  forget_files();
  is_stranger.store(false, std::memory_order_relaxed);
}

void attach_heap(base::Descriptor fd, const HeapTicket& ticket, MemberId id) {
  detail::SharedBlock::void_early();
  leave_heap();
  watch_forks();
  map_existing(fd.get(), ticket);
  static_cast<void>(fd.release());
  forget_files();
  become_member(id);
}

}  // namespace procyon::shm
