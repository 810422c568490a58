// Compiled and run against the installed package.
#include <cstdio>
#include <procyon/base/errors.hpp>

int main() {
  try {
    throw procyon::StartError("fork", 0, "nothing was started");
  } catch (const procyon::Error& error) {
    std::printf("%s\nconsumer: done\n", error.what());
  }
}
