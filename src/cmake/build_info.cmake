# cmake -DSOURCE=DIR -DOUTPUT=FILE -DFLAGS=TEXT -P build_info.cmake
# Writes the definitions of tools/procyon/build_info.hpp; FILE is touched only if they are others
# than before, so that a new commit compiles one small file. Run by each build.

cmake_minimum_required(VERSION 3.25)

# Not of a repository around an unpacked archive; and whoever owns it may build it.
function(find_commit result)
  set(${result} unknown PARENT_SCOPE)
  find_program(git git)
  if(NOT git)
    return()
  endif()
  set(ask ${CMAKE_COMMAND} -E env GIT_OPTIONAL_LOCKS=0 ${git} -c "safe.directory=*" -C ${SOURCE})
  execute_process(COMMAND ${ask} rev-parse --show-toplevel
    OUTPUT_VARIABLE top OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  file(REAL_PATH ${SOURCE} source)
  if(NOT top STREQUAL source)
    return()
  endif()
  execute_process(COMMAND ${ask} describe --always --abbrev=40 --dirty --exclude=*
    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed)
    set(${result} ${commit} PARENT_SCOPE)
  endif()
endfunction()

find_commit(commit)
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[
#include "procyon/build_info.hpp"

namespace procyon::tool {

const char* const build_commit = "@commit@";
const char* const build_flags = R"flags(@FLAGS@)flags";

}  // namespace procyon::tool
]])
