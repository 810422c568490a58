# cmake -DROOT=FOLDER -P check_readme.cmake
# Fails unless the README's example is examples/start.cpp, from its first #include on.
file(READ ${ROOT}/README.md readme)
file(READ ${ROOT}/examples/start.cpp example)
string(FIND "${example}" "#include" begin)
string(SUBSTRING "${example}" ${begin} -1 example)
string(FIND "${readme}" "```cpp\n${example}```" place)
if(place EQUAL -1)
  message(FATAL_ERROR "the example in README.md is not examples/start.cpp")
endif()
