// Which threads this process has, and so which way it may start others.
#pragma once

#include <cstddef>

namespace procyon::engine {

/// Threads of other code, whose locks a forked child would find locked for ever. This library's
/// own are not among them, nor those of OpenBLAS, which it ends before a fork. A thread that has
/// been joined may be in the kernel's list for a moment longer: a number above zero has been seen
/// several times.
std::size_t foreign_threads();
/// As above where OpenBLAS has ended its threads: after a fork.
std::size_t foreign_threads_after_fork();

/// Bytes of memory that a fork would have to copy the page tables of, and later the pages.
std::size_t private_memory();

}  // namespace procyon::engine
