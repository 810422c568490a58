# What must not compile, and the line of the message that tells its user why: a line
# `// Error: REGEX` in the file. A file without one must compile.

set(compile_fail_flags -std=c++20 -fsyntax-only -I${PROJECT_SOURCE_DIR}/include)
set(compilers ${CMAKE_CXX_COMPILER})
find_program(PROCYON_CLANG NAMES clang++-19 clang++-18 clang++-17 clang++-16 clang++)
if(PROCYON_CLANG AND NOT CMAKE_CXX_COMPILER_ID MATCHES Clang)
  list(APPEND compilers ${PROCYON_CLANG})
endif()

file(GLOB files CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cpp)
foreach(compiler IN LISTS compilers)
  cmake_path(GET compiler FILENAME compiler_name)
  foreach(file IN LISTS files)
    cmake_path(GET file STEM name)
    file(STRINGS ${file} error REGEX "^// Error: ")
    list(TRANSFORM error REPLACE "^// Error: " "")
    set(exit 0)
    if(error)
      set(exit failure)
    endif()
    add_expect_test("compile: ${name}, ${compiler_name}"
      COMMAND ${compiler} ${compile_fail_flags} ${file} EXIT ${exit} OUTPUT ${error})
  endforeach()
endforeach()
