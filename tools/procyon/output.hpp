// The standard streams, which may be closed or full.
#pragma once

#include <string_view>

namespace procyon::tool {

/// Opens those of descriptors 0 to 2 that are closed on /dev/null: a file of ours that got one of
/// them would be written to by whoever prints. Call it before any file is opened.
void open_standard_streams() noexcept;

/// Writes a result to stdout, at once. Throws `std::system_error` when it cannot be written.
void print(std::string_view text);

/// Writes a remark or an error to stderr; where that is not possible, there is nobody to tell.
void complain(std::string_view text) noexcept;

}  // namespace procyon::tool
