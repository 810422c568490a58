// Naming code across processes: by module and offset, checked before anything is called.
// Source: UPC++'s cross-code-segment tokens, reduced to one record per module and offset.
#pragma once

#include <procyon/engine/job.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace procyon::engine {

/// The base of the module that a token of this process names.
std::uintptr_t module_base(CodeToken code) noexcept;

constexpr std::size_t module_of(CodeToken code) noexcept { return code >> 48; }

/// The record that a token names, given the bases of its submitter's modules; null where this
/// process has no such module there, or no record at that place.
const JobType* find_code(CodeToken code, const std::atomic<std::uintptr_t>* modules) noexcept;

}  // namespace procyon::engine
