# Tests that run a program and look at its exit code and output.

set(test_timeout 60)
if(PROCYON_SANITIZE)
  math(EXPR test_timeout "4 * ${test_timeout}")
endif()

# add_expect_test(NAME COMMAND PROGRAM ARG... [EXIT CODE] [OUTPUT REGEX...]), as in expect.cmake
function(add_expect_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" EXIT "COMMAND;OUTPUT")
  if(NOT DEFINED arg_EXIT)
    set(arg_EXIT 0)
  endif()
  add_test(NAME ${name} COMMAND ${CMAKE_COMMAND} "-DCOMMAND=${arg_COMMAND}" -DEXIT=${arg_EXIT}
    "-DOUTPUT=${arg_OUTPUT}" -P ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/expect.cmake)
  set_tests_properties(${name} PROPERTIES LABELS tree TIMEOUT ${test_timeout})
endfunction()
