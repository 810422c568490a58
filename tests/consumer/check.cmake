# cmake -DSOURCE=DIR -DBUILD=DIR -DCOMPILER=PATH -DLINALG=BOOL -P check.cmake
# Installs the build in BUILD, then builds and runs the consumer against it. Then checks that a
# project that adds SOURCE as a subdirectory gets the libraries and nothing else.

cmake_minimum_required(VERSION 3.25)
set(place ${BUILD}/consumer)
set(prefix ${place}/prefix)
file(REMOVE_RECURSE ${place})

function(run)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE output ERROR_VARIABLE output
    RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${ARGN}\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})
run(${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR} -B ${place}/build -G Ninja
  -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_PREFIX_PATH=${prefix} -DCONSUMER_LINALG=${LINALG})
run(${CMAKE_COMMAND} --build ${place}/build)
run(${place}/build/consumer)
message(STATUS "${output}")

file(WRITE ${place}/parent/CMakeLists.txt "cmake_minimum_required(VERSION 3.25)\n"
  "project(parent LANGUAGES CXX)\nadd_subdirectory(${SOURCE} procyon)\n")
run(${CMAKE_COMMAND} -S ${place}/parent -B ${place}/parent/build -G Ninja
  -DCMAKE_CXX_COMPILER=${COMPILER})
run(${CMAKE_COMMAND} --build ${place}/parent/build --target help)
if(output MATCHES "(test_[a-z]+|procyon_command|example_[a-z]+)")
  message(FATAL_ERROR "a subdirectory brings ${CMAKE_MATCH_1} into its parent project")
endif()
