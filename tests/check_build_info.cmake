# cmake -DSCRIPT=build_info.cmake -DWORK=DIR -P check_build_info.cmake
# What a build says of its commit: none, one, a changed one; and that it touches its file only then.

cmake_minimum_required(VERSION 3.25)

set(tree ${WORK}/tree)
set(info ${WORK}/info.cpp)
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${tree})
set(ENV{GIT_CEILING_DIRECTORIES} ${WORK})

function(expect regex)
  execute_process(COMMAND ${CMAKE_COMMAND} -DSOURCE=${ARGN} -DOUTPUT=${info} -DFLAGS=-O2
    -P ${SCRIPT} COMMAND_ERROR_IS_FATAL ANY)
  file(READ ${info} text)
  if(NOT text MATCHES "build_commit = \"${regex}\";" OR NOT text MATCHES "\\(-O2\\)")
    message(FATAL_ERROR "not of commit ${regex}:\n${text}")
  endif()
endfunction()
function(git)
  execute_process(COMMAND git -C ${tree} -c user.name=a -c user.email=a@b ${ARGN}
    COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)
endfunction()

expect(unknown ${tree})
string(REPEAT "[0-9a-f]" 40 name)
git(init -q)
file(WRITE ${tree}/file "one")
file(WRITE ${tree}/part/file "a part of another's repository")
git(add .)
git(commit -q -m one)
expect("${name}" ${tree})
file(TIMESTAMP ${info} before "%s")
execute_process(COMMAND ${CMAKE_COMMAND} -E sleep 1.1)
expect("${name}" ${tree})
file(TIMESTAMP ${info} after "%s")
if(NOT before STREQUAL after)
  message(FATAL_ERROR "the file was written again, and nothing had changed")
endif()
file(WRITE ${tree}/file "two")
expect("${name}-dirty" ${tree})
expect(unknown ${tree}/part)
file(REMOVE_RECURSE ${WORK})
