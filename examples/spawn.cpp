//   with init()       program --- starts its executable afresh ---> main: init() is the worker
//   without init()    program --- ? ---> main would run again, and start others, and so on:
//                     refused with a StartError that shows the line
//
// Start methods that do not copy the program as it is need procyon::init() first in main.
// Output: without: .*procyon::init.argc, argv.;.*with: 42, in a process that has no more than
#include <procyon/procyon.hpp>

#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

using procyon::StartMethod;

static int changed_by_main = 0;

int without_init() {
  try {
    procyon::Pool pool(procyon::PoolOptions{.start_method = StartMethod::spawn});
  } catch (const procyon::StartError& error) {
    std::cout << "without: " << error.what() << std::endl;
  }
  return 0;
}

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "without") return without_init();
  procyon::init(argc, argv);
  // This program again, in its other role.
  const std::string again = '"' + std::string(argv[0]) + "\" without";
  if (std::system(again.c_str()) != 0) return 1;

  changed_by_main = 1;
  procyon::Pool pool(procyon::PoolOptions{.processes = 2, .start_method = StartMethod::spawn});
  const int product = pool.apply([](int a, int b) { return a * b; }, 6, 7);
  std::cout << "with: " << product << ", in a process that "
            << (pool.apply([] { return changed_by_main; }) == 0 ? "has no more than" : "copied")
            << " what main did before init()\n";
}
