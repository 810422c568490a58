// What lies in the shared heap besides blocks: its regions, the words that are its books, and the
// states that they go through. Only structs that several processes see; no code that acts on them.
//
//   base                                                                          one mapping
//   | Header | Chunk[] | block words, 8 KiB a chunk | data, 64 KiB a chunk | file window |
//   |<---------------------- one memfd, sparse ------------------------->|<- read-only ->|
//
// Everything is sparse: a page is written only after fallocate has backed it, so that exhaustion
// is an error of fallocate and never a SIGBUS.
//
// Extents. The data region is claimed from its start in extents of whole chunks. The frontier word
// names the last claim {end, length, slot}; whoever looks at it first completes that claim by two
// CASes from 0 (first the span, then the extent word), so a death in between leaves nothing.
//
//   unclaimed --frontier CAS, completed by anyone--> owned {length, slot, epoch}
//   owned --recovery of its dead owner--> orphan {length, 0, 0} --CAS of the extent word--> owned
//   owned --another process frees the one block that fills it--> orphan
//   owned --its owner merges it into the extent before it--> interior {length, 2047, 0}
//
// An orphan word may return: what was seen in the extent before the CAS may be untrue after it.
// Only the owner of an extent turns free chunks in it into blocks (between its threads a private
// mutex); everybody may free. An extent never shrinks and never splits.
//
// Chunks. Runs of chunks tile an extent at every instant: each run's first chunk has a span word
// {state, length}; the span words inside a run mean nothing (they are ignored leftovers). A split
// writes the span of the rest first and then shortens the head: one store does it. So does a merge.
//
//          split, owner writes `owner`, then the span          every block word 0; owner retires it
//   free ----------------------------------------> large  free <-----------------------------+
//     ^                                              |       |                                |
//     |    span store, by whoever frees it           |       +--span store of the owner--> slab
//     +----------------------------------------------+
//          (first `owner` becomes {freeing, slot, epoch} where pages go back to the kernel; the
//           freer's Intent names the chunk, so that recovery completes it after a death)
//
// Blocks. One word each: the `owner` word of a large run, or, in a slab, a word out of band.
//
//   0 (free) --owner of the slab stores itself--> {slot, epoch} --give--> given --anyone--> 0
//                                                      |--deallocate, by anyone--> 0
//                                                      +--recovery of the dead owner--> 0
//
// So a death frees exactly the words that name the dead one. Counters and `freed`, `live`, `spare`,
// `home` are hints: wrong ones cost time or a little memory, never truth.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "shm/members.hpp"

namespace procyon::shm {

constexpr std::uint64_t layout_version = 1;
constexpr std::size_t chunk_bytes = std::size_t{64} << 10;
constexpr std::uint32_t max_chunks = std::uint32_t{1} << 20;
constexpr std::uint32_t min_chunks = 64;
constexpr std::size_t words_per_chunk = 1024;
constexpr std::size_t word_bytes_per_chunk = words_per_chunk * sizeof(std::uint64_t);
constexpr std::size_t max_files = 1024;
constexpr std::size_t region_align = std::size_t{2} << 20;

using Word = std::atomic<std::uint64_t>;
static_assert(Word::is_always_lock_free && sizeof(Word) == 8);

// ---- block words ---------------------------------------------------------------------------
constexpr std::uint64_t word_given = std::uint64_t{1} << 63;
constexpr std::uint64_t word_freeing = std::uint64_t{1} << 62;

constexpr std::uint64_t block_word(MemberId id) noexcept {
  return std::uint64_t{id.slot} << 32 | id.epoch;
}
constexpr MemberId word_member(std::uint64_t word) noexcept {
  return {static_cast<std::uint16_t>(word >> 32 & 0xffff), static_cast<std::uint32_t>(word)};
}

// ---- span words: state 8 | unused 15 | cold 1 | class 8 | length 32
// ------------------------------
enum class SpanState : std::uint8_t { none, free, slab, large };

struct Span {
  SpanState state = SpanState::none;
  bool cold = false;  // free: none of its chunks is backed
  std::uint8_t size_class = 0;
  std::uint32_t length = 0;
};
constexpr std::uint64_t span_word(Span span) noexcept {
  return std::uint64_t{static_cast<std::uint8_t>(span.state)} << 56 |
         std::uint64_t{span.cold} << 40 | std::uint64_t{span.size_class} << 32 | span.length;
}
constexpr Span span_of(std::uint64_t word) noexcept {
  return {static_cast<SpanState>(word >> 56), (word >> 40 & 1) != 0,
          static_cast<std::uint8_t>(word >> 32), static_cast<std::uint32_t>(word)};
}

// ---- extent words: length 21 | slot 11 | epoch 32; the frontier: end 21 | length 21 | slot 11
// -----
constexpr std::uint32_t interior_slot = 2047;

struct Extent {
  std::uint32_t length = 0;
  MemberId owner;
};
constexpr std::uint64_t extent_word(Extent extent) noexcept {
  return std::uint64_t{extent.length} << 43 | std::uint64_t{extent.owner.slot} << 32 |
         extent.owner.epoch;
}
constexpr Extent extent_of(std::uint64_t word) noexcept {
  return {static_cast<std::uint32_t>(word >> 43),
          {static_cast<std::uint16_t>(word >> 32 & 2047), static_cast<std::uint32_t>(word)}};
}

struct Frontier {
  std::uint32_t end = 0;
  std::uint32_t length = 0;
  std::uint16_t slot = 0;
};
constexpr std::uint64_t frontier_word(Frontier frontier) noexcept {
  return std::uint64_t{frontier.end} << 43 | std::uint64_t{frontier.length} << 22 | frontier.slot;
}
constexpr Frontier frontier_of(std::uint64_t word) noexcept {
  return {static_cast<std::uint32_t>(word >> 43),
          static_cast<std::uint32_t>(word >> 22 & ((1U << 21) - 1)),
          static_cast<std::uint16_t>(word & 2047)};
}

// ---- structs -------------------------------------------------------------------------------
/// The books of one chunk.
struct alignas(64) Chunk {
  Word span;                              // of the run that begins here
  Word owner;                             // large: the block's word
  Word home;                              // hint: block_word of the extent's owner
  Word extent;                            // of the extent that begins here
  std::atomic<std::uint32_t> freed;       // slab: blocks freed since the owner last counted
  std::atomic<std::uint32_t> live;        // slab: used then, plus taken since; current_slab or not
  std::atomic<std::uint32_t> backed;      // its 64 KiB are surely backed
  std::atomic<std::uint32_t> word_bytes;  // so many bytes of its block words are surely backed
  std::uint32_t index;                    // slab: its place in the owner's private list
};
static_assert(sizeof(Chunk) == 64);

/// In `live` of a slab that its class is being served from: it is not to be retired.
constexpr std::uint32_t current_slab = 1U << 16;

/// What a process is about to do that its death may interrupt.
struct alignas(64) Intent {
  Word freeing;  // first chunk + 1 of the large block that it gives back to the kernel
};

/// A file that is mapped in the file window. `state` is written last.
struct alignas(64) FileEntry {
  enum State : std::uint32_t { unused, mapped, abandoned };
  std::atomic<std::uint32_t> state;
  std::atomic<std::int32_t> fd;  // in the program
  Word generation;               // of the entry's contents; odd while they change
  Word offset;                   // in the window
  Word bytes;
  Word device;
  Word inode;
};
static_assert(sizeof(FileEntry) == 64);

struct Header {
  std::uint64_t version;
  std::uint32_t chunks;  // in the data region
  std::uint32_t unused;
  alignas(64) Word frontier;
  alignas(64) std::atomic<std::int64_t> spare;  // hint: free chunks that are backed
  alignas(64) Word files_version;               // counts the changes of `files`
  Member members[max_members + 1];
  Intent intents[max_members + 1];
  FileEntry files[max_files];
};
static_assert(sizeof(Header) <= region_align);

// ---- size classes of small blocks --------------------------------------------------------------
constexpr std::uint32_t class_sizes[] = {64,   128,  192,  256,  384,  512,   768,   1024,  1536,
                                         2048, 3072, 4096, 6144, 8192, 12288, 16384, 20480, 32768};
constexpr std::size_t class_count = sizeof(class_sizes) / sizeof(class_sizes[0]);
constexpr std::size_t max_small = 32768;

constexpr std::uint32_t class_capacity(std::size_t size_class) noexcept {
  return static_cast<std::uint32_t>(chunk_bytes / class_sizes[size_class]);
}
static_assert(class_capacity(0) == words_per_chunk);

}  // namespace procyon::shm
