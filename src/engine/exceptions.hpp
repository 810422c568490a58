// Exceptions on their way to the caller. Between processes the standard ones, the library's and
// those registered with PROCYON_EXCEPTION keep their type and text, and any other arrives as
// RemoteError; within one process each arrives as itself.
#pragma once

#include "engine/layout.hpp"

#include <procyon/engine/exception_type.hpp>

namespace procyon::engine {

/// The exception in flight as a Failure in the pool's memory; `item`, `pid`, `attempt` are the
/// caller's to fill. Throws SharedMemoryError.
Failure* encode_current_exception(const PoolState& pool);

/// A copy of a failure in the pool's memory. Throws SharedMemoryError.
Failure* copy_failure(const PoolState& pool, const Failure& failure);

/// Frees a failure, without those it is chained to.
void free_failure(const PoolState& pool, Failure* failure) noexcept;

/// The registered type of what was thrown, or by its name; null: there is none.
const ExceptionType* find_exception(const std::type_info& thrown) noexcept;
const ExceptionType* find_exception(std::string_view name) noexcept;

// ---- The standard types and the library's own (standard_exceptions.cpp) ------------------------

/// What such an exception is made of, but for its text.
struct StandardParts {
  std::uint32_t codec = ~std::uint32_t{0};  ///< its place in the table; past it: not such a type
  std::int32_t code = 0;
  std::uint32_t category = 0;
  std::uint32_t detail_size = 0;
  WorkerCrashed::Death death = {};
  std::uint64_t item = 0;
  std::uint32_t attempt = 0;
};

/// The parts of the exception that is being caught, and what else it says: the phase of a
/// StartError, the type of a RemoteError.
StandardParts standard_parts(const std::exception& error, std::string& detail);
/// Throws the exception of these parts; returns where they are not of such a type.
void raise_standard(const StandardParts& parts, const Where& place, const std::string& text,
                    const std::string& detail);
/// Throws a copy of the exception that is being caught; returns where it is not of such a type.
void raise_standard_copy(const std::exception& error, const Where& place);

}  // namespace procyon::engine
