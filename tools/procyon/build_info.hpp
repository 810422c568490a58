// What this command was built from. Defined in a file that src/cmake/build_info.cmake writes.
#pragma once

namespace procyon::tool {

/// The commit's full name, with "-dirty" where files differed from it; "unknown" outside git.
extern const char* const build_commit;
/// The compiler's flags, build type included; those of single targets (-Wall, -I) are left out.
extern const char* const build_flags;

}  // namespace procyon::tool
