// Naming code across processes: by module and offset, checked before anything is called. A module
// is known by what it was built as, so it may lie anywhere in another process.
// Source: UPC++'s cross-code-segment tokens, reduced to one record per module and offset.
#pragma once

#include "engine/layout.hpp"

#include <procyon/engine/job.hpp>
#include <procyon/engine/process.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace procyon::engine {

constexpr std::size_t module_of(CodeToken code) noexcept { return code >> 48; }

/// What a submitter tells about the module of a token of its own.
struct ModuleIdentity {
  std::uintptr_t base = 0;
  std::uint64_t fingerprint = 0;
  std::string path;
};
ModuleIdentity identify_module(CodeToken code);
/// As a block in the heap or not, for those who are to find the code; owned by the caller. Throws
/// SharedMemoryError.
const Module* make_module(CodeToken code, bool shared);

/// The record that a token names, given its submitter's modules; null where there is no record of
/// that kind at that place, or this process cannot have the module. A library that is not loaded
/// yet is loaded from the same file, if that is still the same build.
const JobType* find_code(CodeToken code, const std::atomic<const Module*>* modules) noexcept;
const ProcessType* find_process_code(CodeToken code,
                                     const std::atomic<const Module*>* modules) noexcept;
/// The function that a token names; 0 where this process cannot have it.
std::uintptr_t find_function(CodeToken code, const std::atomic<const Module*>* modules) noexcept;

/// Throws NotShareable with the name of the module.
[[noreturn]] void throw_unknown_code(CodeToken code, const std::atomic<const Module*>* modules);

}  // namespace procyon::engine
