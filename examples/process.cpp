//   program                         Process "hello"
//   start()  --- a new process --->  f(args...)     stdin empty, stdout and stderr flushed
//   join(50ms): false                   |
//   terminate(), join()  <--- ended ----'           exit_code(): what f returned, or -signal
//
// What Process of Python's multiprocessing is for, and the usage that is a subclass there.
// Output: hello, bob, from a process of its own.*hello ended with code 0
// Output: after 50 ms: still there.*ended by signal 15.*Counter: 1 2 3 and code 3
#include <procyon/procyon.hpp>

#include <unistd.h>

#include <chrono>
#include <iostream>
#include <string>

using procyon::Process;
using procyon::ProcessOptions;

/// Where Python has a subclass with run(), C++ has a function object; it may hold shared memory.
struct Counter {
  procyon::Array<int> seen;
  int operator()() const {
    for (int i = 0; i < 3; ++i) seen[static_cast<std::size_t>(i)] = i + 1;
    return 3;
  }
};

int main(int argc, char** argv) {
  procyon::init(argc, argv);
  const auto greet = [](const std::string& whom) {
    const bool is_new = procyon::parent_process()->pid() != getpid();
    std::cout << "hello, " << whom << (is_new ? ", from a process of its own\n" : "\n");
  };
  Process hello(ProcessOptions{.name = "hello"}, greet, std::string("bob"));
  hello.start();
  hello.join();
  std::cout << hello.name() << " ended with code " << hello.exit_code().value() << '\n';

  Process sleeper([] { pause(); });
  sleeper.start();
  const bool ended = sleeper.join(std::chrono::milliseconds(50));
  std::cout << "after 50 ms: " << (ended ? "gone" : "still there") << '\n';
  sleeper.terminate();
  sleeper.join();
  std::cout << "ended by signal " << -sleeper.exit_code().value() << '\n';

  const procyon::Array<int> seen(3);
  Process counter(Counter{seen});
  counter.start();
  counter.join();
  std::cout << "Counter: ";
  for (const int each : seen) std::cout << each << ' ';
  std::cout << "and code " << counter.exit_code().value() << '\n';
}
