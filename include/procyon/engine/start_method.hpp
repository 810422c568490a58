// How processes come to be.
#pragma once

namespace procyon {

/// `fork`: copies of this process as it was when the Pool was made; refused where other threads of
/// this process hold who knows what. `forkserver`: copies of this process as it was in init(), a
/// clean image with one thread. `spawn`: this executable started afresh. `automatic`: what the
/// environment's PROCYON_START_METHOD says; else `fork` where this process has no threads but its
/// own and little private memory, else `forkserver`.
enum class StartMethod { automatic, fork, forkserver, spawn };

}  // namespace procyon
