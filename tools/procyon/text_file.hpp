// Files of text that are written whole or not at all.
#pragma once

#include <string>
#include <string_view>

namespace procyon::tool {

/// Replaces the file by `text`, by a temporary name beside it; what is no regular file (a pipe, a
/// terminal) is written to. Throws `std::system_error` that names the file.
void write_text(const std::string& path, std::string_view text);

}  // namespace procyon::tool
