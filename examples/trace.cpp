//   worker 0  |item 0|item 2 |item 3        |item 6|      one row a worker,
//   worker 1  |item 1        |item 4|item 5 |             one bar a task
//             +----------------------------------------> time
//
// What the workers did, and when, as a file for ui.perfetto.dev.
// Output: 24 squares, recorded in a file of [1-9][0-9]* bytes
#include <procyon/procyon.hpp>

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <iostream>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

int main(int argc, char** argv) {
  procyon::init(argc, argv);
  const auto path =
      std::filesystem::temp_directory_path() / ("run-" + std::to_string(getpid()) + ".json");
  std::vector<int> numbers(24);
  std::iota(numbers.begin(), numbers.end(), 0);

  std::vector<int> squares;
  {
    const procyon::Trace trace(path);
    procyon::Pool pool(procyon::PoolOptions{.processes = 2, .name = "squares"});
    const auto square = [](int x) {
      std::this_thread::sleep_for(std::chrono::microseconds(100 * (1 + x % 3)));
      return x * x;
    };
    squares = pool.map(square, numbers, {.chunk_size = 1});
  }  // here the file is written, whole or not at all

  std::cout << squares.size() << " squares, recorded in a file of "
            << std::filesystem::file_size(path) << " bytes\n";
  std::filesystem::remove(path);
}
