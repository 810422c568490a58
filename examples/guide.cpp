//   program                                  worker, worker, ...
//   map             waits for all   <------  results in the order of the items
//   imap            one by one      <------  in order, each as soon as it is there
//   imap_unordered  one by one      <------  whichever is ready
//   apply_async     goes on         <------  a callback, or get()
//
// The guide to Python's multiprocessing.Pool, in C++.
// Output: map: 0 1 4 9 16.*imap: 0 1 4 9 16.*unordered: 30 in all
// Output: callback: 49.*asked for: 49.*starmap: 3 7.*error callback: no root of -1.*and what get
#include <procyon/procyon.hpp>

#include <cmath>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

int square(int x) { return x * x; }

double root(double x) {
  if (x < 0) throw std::domain_error("no root of " + std::to_string(static_cast<int>(x)));
  return std::sqrt(x);
}

void print(const char* what, auto&& range) {
  std::cout << what << ':';
  for (const int x : range) std::cout << ' ' << x;
  std::cout << '\n';
}

int main(int argc, char** argv) {
  procyon::init(argc, argv);
  const std::vector<int> xs{0, 1, 2, 3, 4};
  procyon::Pool pool(4);

  print("map", pool.map(&square, xs));
  print("imap", pool.imap(&square, xs));
  int sum = 0;
  for (const int each : pool.imap_unordered(&square, xs)) sum += each;
  std::cout << "unordered: " << sum << " in all\n";

  auto result = pool.apply_async(&square, 7);
  result.on_success([](int value) { std::cout << "callback: " << value << '\n'; });
  const int value = result.get();  // returns when the callback has run
  std::cout << "asked for: " << value << '\n';

  const std::vector<std::pair<int, int>> pairs{{1, 2}, {3, 4}};
  print("starmap", pool.starmap([](int a, int b) { return a + b; }, pairs));

  auto wrong = pool.apply_async(&root, -1.0);
  wrong.on_error(
      [](const std::exception& e) { std::cout << "error callback: " << e.what() << '\n'; });
  try {
    wrong.get();
  } catch (const std::domain_error&) {
    std::cout << "and what get() throws\n";
  }
}
