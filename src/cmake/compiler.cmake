# Language level, build type, warnings and sanitizers, and the function that makes a library.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
  endif()
endif()

# Warnings are for this project's own files: never part of what a consumer sees.
add_library(procyon_warnings INTERFACE)
target_compile_options(procyon_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow $<$<BOOL:${PROCYON_WERROR}>:-Werror>)

# Instrumented code makes g++ see uninitialised variables where there are none, and it says of each
# std::atomic_thread_fence that ThreadSanitizer does not know it: other builds judge warnings.
if(PROCYON_SANITIZE)
  add_compile_options(-fsanitize=${PROCYON_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    add_compile_options(-Wno-maybe-uninitialized -Wno-tsan)
  endif()
  add_link_options(-fsanitize=${PROCYON_SANITIZE})
endif()

# procyon_add_library(NAME [EXPORT_AS ALIAS] ROOMS ROOM... UMBRELLAS HEADER...)
# A library of the sources in src/ROOM and the headers in include/procyon/ROOM, with the alias
# procyon::ALIAS (ALIAS is NAME unless given). A library without any source is not made.
function(procyon_add_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" EXPORT_AS "ROOMS;UMBRELLAS")
  set(include ${PROJECT_SOURCE_DIR}/include)
  set(source_globs ${arg_ROOMS})
  list(TRANSFORM source_globs REPLACE "(.+)" "${PROJECT_SOURCE_DIR}/src/\\1/*.cpp")
  set(header_globs ${arg_ROOMS})
  list(TRANSFORM header_globs REPLACE "(.+)" "${include}/procyon/\\1/*.hpp")
  list(TRANSFORM arg_UMBRELLAS PREPEND "${include}/procyon/")
  file(GLOB sources CONFIGURE_DEPENDS ${source_globs})
  file(GLOB headers CONFIGURE_DEPENDS ${header_globs} ${arg_UMBRELLAS})
  if(NOT sources)
    return()
  endif()
  if(NOT arg_EXPORT_AS)
    set(arg_EXPORT_AS ${name})
  endif()
  add_library(${name} ${sources})
  add_library(procyon::${arg_EXPORT_AS} ALIAS ${name})
  target_sources(${name} PUBLIC FILE_SET HEADERS BASE_DIRS ${include} FILES ${headers})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_features(${name} PUBLIC cxx_std_20)
  target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:procyon_warnings>)
  set_target_properties(${name} PROPERTIES
    EXPORT_NAME ${arg_EXPORT_AS}
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}
    VERIFY_INTERFACE_HEADER_SETS ${PROCYON_TESTS})
  set_property(GLOBAL APPEND PROPERTY procyon_libraries ${name})
endfunction()
