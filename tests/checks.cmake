# Tests of the tree, of the test tools themselves and of the installed package.

set(here ${CMAKE_CURRENT_LIST_DIR})

# ---- Layers and sizes -------------------------------------------------------------------------
set(check_layers -DLAYERS=${here}/layers.txt -P ${here}/check_layers.cmake)
add_expect_test("tree: includes keep to the layers"
  COMMAND ${CMAKE_COMMAND} -DROOT=${PROJECT_SOURCE_DIR} ${check_layers})
file(STRINGS ${here}/fixtures/layers/violations.txt violations)
add_expect_test("tree: an include against the layers is found"
  COMMAND ${CMAKE_COMMAND} -DROOT=${here}/fixtures/layers ${check_layers}
  EXIT 1 OUTPUT ${violations})

add_expect_test("tree: files and lines are short enough"
  COMMAND ${CMAKE_COMMAND} -DROOT=${PROJECT_SOURCE_DIR} -P ${here}/check_sizes.cmake)
string(REPEAT "x" 101 long_line)
string(REPEAT "\n" 601 many_lines)
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/long/src/long.cpp "// ]${long_line};[\n${many_lines}")
add_expect_test("tree: a long file and a long line are found"
  COMMAND ${CMAKE_COMMAND} -DROOT=${CMAKE_CURRENT_BINARY_DIR}/long -P ${here}/check_sizes.cmake
  EXIT 1 OUTPUT "602 lines" "107 columns")

find_program(PROCYON_GIT git)
if(PROCYON_GIT)
  add_expect_test("tree: a build knows its commit, and a new one makes it write one file"
    COMMAND ${CMAKE_COMMAND} -DSCRIPT=${PROJECT_SOURCE_DIR}/src/cmake/build_info.cmake
      -DWORK=${CMAKE_CURRENT_BINARY_DIR}/build-info -P ${here}/check_build_info.cmake)
endif()

# ---- The leak listener ------------------------------------------------------------------------
add_executable(test_leaks fixtures/leaks.cpp $<TARGET_OBJECTS:test_main>)
target_link_libraries(test_leaks PRIVATE test_main)
function(add_leak_test case)
  add_expect_test("leaks: ${case}" COMMAND $<TARGET_FILE:test_leaks> ${case} ${ARGN})
endfunction()
add_leak_test(nothing)
add_leak_test("empty heap")
add_leak_test(block EXIT 1 OUTPUT "shared heap: [1-9][0-9]* bytes in use")
add_leak_test(descriptor EXIT 1 OUTPUT "left behind:\n +descriptor [0-9]+ -> /dev/null")
add_leak_test(closed EXIT 1 OUTPUT "had not opened:\n +descriptor 0")
add_leak_test(mapping EXIT 1 OUTPUT "left behind:\n +mapping of /memfd:left")
add_leak_test(file EXIT 1 OUTPUT "left behind:\n +file .*/left")
add_leak_test(section EXIT 1 OUTPUT "left behind:\n +descriptor")
add_leak_test(throwing EXIT 2 OUTPUT "left behind:\n +descriptor")
if(NOT PROCYON_SANITIZE MATCHES thread)
  add_leak_test(child EXIT 1 OUTPUT "left behind:\n +process [0-9]+ .test_leaks., state S")
  add_leak_test(zombie EXIT 1 OUTPUT "left behind:\n +process [0-9]+ .test_leaks., state Z")
  add_leak_test(grandchild EXIT 1 OUTPUT "left behind:\n +process [0-9]+ .test_leaks., state S")
endif()

add_expect_test("tree: the README's example is the one that is compiled"
  COMMAND ${CMAKE_COMMAND} -DROOT=${PROJECT_SOURCE_DIR} -P ${here}/check_readme.cmake)

# ---- Headers and the installed package: once is enough ----------------------------------------
if(NOT PROCYON_SANITIZE)
  add_expect_test("tree: each public header compiles alone"
    COMMAND ${CMAKE_COMMAND} --build ${PROJECT_BINARY_DIR} --target
      all_verify_interface_header_sets)
  add_expect_test("package: an installed procyon is found, linked and run"
    COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR} -DBUILD=${PROJECT_BINARY_DIR}
      -DCOMPILER=${CMAKE_CXX_COMPILER} -DLINALG=$<TARGET_EXISTS:procyon_linalg>
      -P ${here}/consumer/check.cmake
    OUTPUT "consumer: done")
  set_tests_properties("tree: each public header compiles alone"
    "package: an installed procyon is found, linked and run" PROPERTIES TIMEOUT 300)
endif()
