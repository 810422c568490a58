// Which start method it is to be, and whether this process may use it now.
#pragma once

#include <procyon/engine/start_method.hpp>

#include <cstddef>
#include <string>

namespace procyon::engine {

/// What is to be started: for what is said where it cannot be.
enum class Started { pool, process };

/// One of the three, where `automatic` and the environment have had their say. Throws StartError
/// where init() is missing, std::invalid_argument where PROCYON_START_METHOD is none.
StartMethod resolve_method(StartMethod method, Started what);

/// Throws StartError in a process that somebody else's code has forked: it is no member of the heap
/// that it sees.
void refuse_strangers();

/// Throws the StartError for a process that was started afresh and ended, with that status, before
/// it had come to init(). -1: unknown.
[[noreturn]] void throw_never_ready(int status, Started what);

/// Why so many threads forbid `fork`, and what to do.
std::string refusal_of_threads(std::size_t threads, Started what);

}  // namespace procyon::engine
