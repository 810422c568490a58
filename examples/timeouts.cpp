// A task that hangs is ended after its time, and only it: its worker is killed and replaced.
//
//   worker 1   |0| |2| |4|
//   worker 2   |1| |3 ..........| killed
//   worker 3                      |5|      took its place
//
// Output: 2.item 3 ran longer than its time limit of 0.5 s .*4.5.the pool goes on: 42
#include <procyon/procyon.hpp>

#include <unistd.h>

#include <chrono>
#include <exception>
#include <iostream>
#include <vector>

int main(int argc, char** argv) {
  using namespace std::chrono_literals;
  procyon::init(argc, argv);
  procyon::Pool pool(2);

  const auto may_hang = [](int i) {
    if (i == 3) pause();  // for ever
    return i;
  };
  // The limit is each item's, not the whole map's. PoolOptions::task_timeout is for all calls.
  const auto outcomes = pool.try_map(may_hang, {0, 1, 2, 3, 4, 5}, {.timeout = 500ms});
  for (const auto& outcome : outcomes) {
    try {
      std::cout << outcome.value() << '\n';
    } catch (const procyon::TaskTimeout& error) {
      std::cout << error.what() << '\n';
    }
  }
  std::cout << "the pool goes on: " << pool.apply([] { return 42; }) << '\n';
}
