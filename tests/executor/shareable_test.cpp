// What a Pool takes and what it refuses; other pools take everything.
#include <array>
#include <cmath>
#include <functional>
#include <latch>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "processes.hpp"

using Catch::Matchers::Contains;
using procyon::Array;
using procyon::NotShareable;
using procyon::Pool;

extern "C" const char __executable_start;  // NOLINT

namespace {

using procyon::detail::check_shareable;

int static_number = 5;
const int static_constant = 6;
thread_local int thread_number = 7;

int read_through(const int* address) { return *address; }

struct Counter {
  int value = 3;
  auto reader() const {
    return [this] { return value; };
  }
};

/// What `call` says when it refuses; empty where it does not.
template <class F>
std::string refusal_of(F&& call) {
  try {
    call();
  } catch (const NotShareable& error) {
    return error.what();
  }
  return "";
}

/// The first word that a refusal lacks, of those given and of the cure; empty: it has all.
std::string lack(const std::string& refusal, std::vector<std::string> words) {
  words.insert(words.end(), {"procyon::Array", "ThreadPool"});
  for (const std::string& word : words) {
    if (refusal.find(word) == std::string::npos) return word + " in: " + refusal;
  }
  return "";
}

}  // namespace

TEST_CASE("captures of private memory are refused with the kind of memory and the cure",
          "[process]") {
  Pool pool(1);
  const std::vector<double> numbers(10, 1.5);
  CHECK(lack(refusal_of([&] { pool.apply([numbers] { return numbers[0]; }); }),
             {"the callable", "heap"}) == "");
  const std::string text(100, 't');
  CHECK(lack(refusal_of([&] { pool.apply([text] { return text.size(); }); }),
             {"the callable", "heap"}) == "");
  int on_stack = 1;
  CHECK(lack(refusal_of([&] { pool.apply([p = &on_stack] { return *p; }); }),
             {"the callable", "the stack"}) == "");
  const auto on_heap = std::make_unique<int>(2);
  CHECK(lack(refusal_of([&] { pool.apply([p = on_heap.get()] { return *p; }); }),
             {"the callable", "heap"}) == "");
  CHECK(lack(refusal_of([&] { pool.apply([p = &static_number] { return *p; }); }),
             {"the callable", "a static variable"}) == "");
  CHECK(lack(refusal_of([&] { pool.apply([p = &thread_number] { return *p; }); }),
             {"the callable", "a thread-local variable"}) == "");
  const Counter counter;
  CHECK_FALSE(refusal_of([&] { pool.apply(counter.reader()); }).empty());
  const auto deep = [f = [numbers] { return numbers.size(); }] { return f(); };
  CHECK_FALSE(refusal_of([&] { pool.apply(deep); }).empty());
  const std::function<int()> erased = [a = std::array<long, 8>{}] {
    return static_cast<int>(a[0]);
  };
  CHECK_FALSE(refusal_of([&] { pool.apply(erased); }).empty());
  // Too complex a closure to be refused when it is compiled.
  const auto mixed = [&on_stack, small = std::string("s")] { return on_stack + std::ssize(small); };
  CHECK(lack(refusal_of([&] { pool.apply(mixed); }), {"the callable", "the stack"}) == "");
  CHECK(pool.apply([] { return 1; }) == 1);
}

TEST_CASE("every call that takes a callable checks it", "[process]") {
  Pool pool(1);
  int on_stack = 1;
  const auto bad = [p = &on_stack](std::size_t i) { return *p + static_cast<int>(i); };
  const std::vector<std::size_t> xs{1, 2};
  CHECK_THROWS_AS(pool.map(bad, xs), NotShareable);
  CHECK_THROWS_AS(pool.for_each(bad, xs), NotShareable);
  CHECK_THROWS_AS(pool.for_index(2, bad), NotShareable);
  CHECK_THROWS_AS(pool.apply_async(bad, std::size_t{1}), NotShareable);
  CHECK_THROWS_AS(pool.map_async(bad, xs), NotShareable);
  const Array<std::size_t> in(xs);
  const Array<int> out(2);
  CHECK_THROWS_AS(pool.map_into(bad, in, out), NotShareable);
}

TEST_CASE("arguments that refer to private memory are refused", "[process]") {
  Pool pool(1);
  int on_stack = 1;
  std::string text(100, 't');
  CHECK(lack(refusal_of([&] { pool.apply(read_through, &on_stack); }),
             {"an argument", "the stack"}) == "");
  const auto length = [](std::string_view view) { return view.size(); };
  CHECK(lack(refusal_of([&] { pool.apply(length, std::string_view(text)); }),
             {"an argument", "heap"}) == "");
  const auto sum = [](std::span<const int> span) { return span.empty() ? 0 : span[0]; };
  const std::vector<int> numbers{1, 2};
  CHECK(lack(refusal_of([&] { pool.apply(sum, std::span<const int>(numbers)); }),
             {"an argument", "heap"}) == "");
  const auto add_one = [](std::reference_wrapper<int> n) { return n.get() + 1; };
  CHECK_FALSE(refusal_of([&] { pool.apply(add_one, std::ref(on_stack)); }).empty());
  const std::vector<std::string_view> views{"literal", text};
  CHECK_FALSE(refusal_of([&] { pool.map(length, views); }).empty());
  const std::vector<std::pair<int, const int*>> pairs{{1, &on_stack}};
  const auto second = [](int, const int* p) { return *p; };
  CHECK_FALSE(refusal_of([&] { pool.starmap(second, pairs); }).empty());
}

TEST_CASE("map_into refuses ranges in private memory by name", "[process]") {
  Pool pool(1);
  std::vector<int> local(3);
  const Array<int> shared(3);
  const auto same = [](int x) { return x; };
  CHECK_THAT(refusal_of([&] { pool.map_into(same, local, shared); }),
             Contains("in lies") && Contains("procyon::Array"));
  CHECK_THAT(refusal_of([&] { pool.map_into(same, shared, local); }), Contains("out lies"));
}

TEST_CASE("captures and arguments that mean the same in a worker are taken", "[process]") {
  Pool pool(1);
  const std::string small = "short";
  CHECK(pool.apply([small] { return small + "!"; }) == "short!");
  CHECK(pool.apply([empty = std::vector<int>()] { return empty.size(); }) == 0);
  const char* literal = "a literal";
  CHECK(pool.apply([literal] { return std::string(literal); }) == "a literal");
  CHECK(pool.apply([](std::string_view view) { return view.size(); }, "a literal") == 9);
  CHECK(pool.apply(read_through, &static_constant) == 6);
  const Array<int> array(std::vector{8, 9});
  CHECK(pool.apply(read_through, array.data() + 1) == 9);
  CHECK(pool.apply([p = array.data()] { return *p; }) == 8);
  CHECK(pool.apply([span = array.span()] { return span[1]; }) == 9);
  CHECK(pool.apply([](std::span<const int> span) { return span[0]; },
                   std::span<const int>(array.span())) == 8);
  CHECK(pool.apply([f = &read_through](const int* p) { return f(p); }, array.data()) == 8);
  CHECK(pool.apply([p = static_cast<int*>(nullptr)] { return p == nullptr; }));
  const std::function<int()> erased = [] { return 12; };
  CHECK(pool.apply(erased) == 12);
  const auto holder = procyon::by_value([t = std::tuple(1, 2.5)] { return std::get<1>(t); });
  CHECK(pool.apply(holder) == 2.5);
}

TEST_CASE("a refusal names the offset of the word, and its cure", "[process]") {
  Pool pool(1);
  int on_stack = 1;
  long a = 1;
  const auto third = [a, b = a + 1, p = &on_stack] { return a + b + *p; };
  CHECK_THAT(refusal_of([&] { pool.apply(third); }),
             Contains("the word at offset 16") && Contains("the stack of the calling thread") &&
                 Contains("the value itself"));
  const auto first = [p = &static_number, a] { return *p + a; };
  CHECK_THAT(refusal_of([&] { pool.apply(first); }),
             Contains("the word at offset 0") && Contains("name it inside the callable"));
  const std::vector<int> numbers(100);
  CHECK_THAT(refusal_of([&] { pool.apply([numbers] { return numbers.size(); }); }),
             Contains("own heap") && Contains("pass them as arguments"));
}

TEST_CASE("the stack of another thread is told as that") {
  int on_main_stack = 1;
  std::string by_main;
  std::string by_thread;
  std::latch ready(1);
  std::latch done(1);
  const int* on_thread_stack = nullptr;
  std::thread other([&] {
    int local = 2;
    on_thread_stack = &local;
    by_thread = refusal_of([&] { check_shareable(&on_main_stack, "it"); });
    ready.count_down();
    done.wait();
  });
  ready.wait();
  by_main = refusal_of([&] { check_shareable(on_thread_stack, "it"); });
  done.count_down();
  other.join();
  CHECK_THAT(by_main, Contains("the stack of another thread"));
  CHECK_THAT(by_thread, Contains("the stack of another thread"));
}

TEST_CASE("results that refer to private memory fail their own task", "[process]") {
  Pool pool(1);
  static_number = 6;
  const auto pointer = [] { return &static_number; };
  CHECK(lack(refusal_of([&] { pool.apply(pointer); }), {"the result", "a static variable"}) == "");
  const auto view = [](const std::string& text) { return std::string_view(text); };
  CHECK(lack(refusal_of([&] { pool.apply(view, std::string(100, 'v')); }),
             {"the result", "heap"}) == "");
  const auto span = [](const std::vector<int>& numbers) { return std::span<const int>(numbers); };
  CHECK_FALSE(refusal_of([&] { pool.map(span, std::vector<std::vector<int>>{{1, 2}}); }).empty());
  const auto reference = [](int) { return std::ref(static_number); };
  CHECK_FALSE(refusal_of([&] { pool.map(reference, {1}); }).empty());
  const auto views = [](const std::string& text) {
    return std::vector<std::string_view>{"a literal", text};
  };
  CHECK(lack(refusal_of([&] { pool.apply(views, std::string(100, 'v')); }), {"result"}) == "");
  const auto pair = [](int x) { return std::pair<int, const int*>(x, &static_number); };
  CHECK_FALSE(refusal_of([&] { pool.map(pair, {1, 2}); }).empty());
  const Array<const int*> out(2);
  const Array<int> in(std::vector{0, 1});
  const auto address = [](int i) -> const int* { return i == 0 ? nullptr : &static_number; };
  CHECK_FALSE(refusal_of([&] { pool.map_into(address, in, out); }).empty());
  const auto in_array = [in](std::size_t i) { return &in[i]; };
  CHECK(pool.apply(in_array, std::size_t{1}) == &in[1]);
  CHECK(pool.apply([] { return std::string_view("a literal"); }) == "a literal");
  CHECK(pool.apply([] { return 1; }) == 1);
}

TEST_CASE("parts of arguments that refer to private memory are refused", "[process]") {
  Pool pool(1);
  const std::string text(100, 't');
  const auto count = [](const std::vector<std::string_view>& all) { return all.size(); };
  const std::vector<std::string_view> good{"one", "two"};
  CHECK(pool.apply(count, good) == 2);
  const std::vector<std::string_view> bad{"one", text};
  CHECK(lack(refusal_of([&] { pool.apply(count, bad); }), {"argument", "heap"}) == "");
  CHECK(lack(refusal_of([&] { pool.map(count, std::vector{good, bad}); }), {"heap"}) == "");
}

TEST_CASE("what is inherited is seen by workers that are forked from here, as it was",
          "[process]") {
  std::vector<int> table(1000, 7);
  const auto on_heap = std::make_unique<int>(8);
  Pool pool(2);
  table[5] = 1;
  const auto mine = procyon::inherited(&table);
  CHECK(pool.apply([mine](std::size_t i) { return (*mine)[i] + static_cast<int>(mine->size()); },
                   std::size_t{5}) == 1007);
  const auto read = [](const int* number) { return *number; };
  CHECK(pool.apply(read, procyon::inherited(on_heap.get())) == 8);
  const auto elements = procyon::inherited(static_cast<const int*>(table.data()));
  CHECK(pool.map([elements](std::size_t i) { return elements[i]; },
                 std::vector<std::size_t>{1, 2}) == std::vector{7, 7});
  CHECK(procyon::inherited(static_cast<int*>(nullptr)).get() == nullptr);
}

TEST_CASE("what only a copy of this process has is refused for workers that are none") {
  const auto mine = procyon::inherited(&static_number);
  const auto with_inherited = [mine, a = 5L] { return *mine + a; };
  const auto with_function = [f = &read_through](const int* p) { return f(p); };
  const std::string_view literal = "a literal";
  CHECK(refusal_of([&] { check_shareable(with_inherited, "f"); }).empty());
  CHECK(refusal_of([&] { check_shareable(literal, "f"); }).empty());
  const procyon::detail::CheckedFor afresh(false);
  CHECK_THAT(refusal_of([&] { check_shareable(with_inherited, "f"); }),
             Contains("f: the pointer at offset 8 is inherited()") && Contains("fork"));
  // In an executable that lies where it was linked to, its code and constants are the same.
  if (&__executable_start != reinterpret_cast<const char*>(0x400000)) {
    CHECK_THAT(refusal_of([&] { check_shareable(literal, "f"); }),
               Contains("f: the word at offset 8") && Contains("a std::string"));
    CHECK_THAT(refusal_of([&] { check_shareable(with_function, "f"); }),
               Contains("Capture a lambda"));
  }
  const std::function<double(double)> outside = static_cast<double (*)(double)>(&std::sqrt);
  CHECK_FALSE(refusal_of([&] { check_shareable(outside, "f"); }).empty());
  CHECK(refusal_of([&] { check_shareable(std::pair(1, 2.5), "f"); }).empty());
}

TEST_CASE("trusted skips the check, and by_value does not", "[process]") {
  static_number = 41;
  Pool pool(1);
  const auto read = [p = &static_number] { return *p; };
  CHECK(pool.apply(procyon::trusted(read)) == 41);
  CHECK_THROWS_AS(pool.apply(procyon::by_value(read)), NotShareable);
}

TEST_CASE("a refusal keeps nothing of the arguments", "[process]") {
  Pool pool(1);
  int on_stack = 1;
  const auto bad = [p = &on_stack](const std::string& s, int) { return *p + std::ssize(s); };
  const std::vector<std::string> words(100, std::string(1000, 'w'));
  const std::vector<const int*> pointers(100, &on_stack);
  const auto f = [](const std::string& s, const int*) { return s; };
  const auto two = [](const std::string& s, const int*) { return s; };
  const std::size_t before = procyon::shared_heap().used();
  for (int i = 0; i < 50; ++i) {
    CHECK_THROWS_AS(pool.map(bad, words, std::vector<int>(100)), NotShareable);
    CHECK_THROWS_AS(pool.apply_async(bad, words[0], 3), NotShareable);
    CHECK_THROWS_AS(pool.map(two, words, pointers), NotShareable);
    CHECK_THROWS_AS(pool.apply(f, words[0], pointers[0]), NotShareable);
    CHECK_THROWS_AS(
        pool.apply([](const int*, const std::string& s) { return s; }, pointers[0], words[0]),
        NotShareable);
  }
  CHECK(procyon::shared_heap().used() <= before + 4096);
}

TEST_CASE("pools of this process take any callable and any argument") {
  int on_stack = 1;
  const std::vector<double> numbers(10, 1.5);
  const auto check = [&](auto& pool) {
    CHECK(pool.apply([&on_stack] { return ++on_stack; }) == 2);
    CHECK(pool.apply([numbers] { return numbers.size(); }) == 10);
    CHECK(pool.apply(read_through, &on_stack) == 2);
    CHECK(pool.apply([](const std::unique_ptr<int>& p) { return *p; }, std::make_unique<int>(4)) ==
          4);
    CHECK(*pool.apply([] { return std::make_unique<int>(5); }) == 5);
    on_stack = 1;
  };
  procyon::ThreadPool threads(2);
  procyon::SerialPool serial;
  check(threads);
  check(serial);
}
