# cmake -DCOMMAND=PROGRAM;ARG... [-DEXIT=CODE] [-DOUTPUT=REGEX;...] -P expect.cmake
# Fails unless the command exits with CODE (0 unless given; `failure`: any but 0) and what it
# prints matches every REGEX.

cmake_minimum_required(VERSION 3.25)

execute_process(COMMAND ${COMMAND}
  RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
message(STATUS "${output}")

if(NOT DEFINED EXIT)
  set(EXIT 0)
endif()
if(EXIT STREQUAL failure AND result EQUAL 0)
  message(FATAL_ERROR "exit code 0, expected a failure")
elseif(NOT EXIT STREQUAL failure AND NOT result STREQUAL EXIT)
  message(FATAL_ERROR "exit code ${result}, expected ${EXIT}")
endif()
foreach(regex IN LISTS OUTPUT)
  if(NOT output MATCHES "${regex}")
    message(FATAL_ERROR "the output does not match ${regex}")
  endif()
endforeach()
