// Contract: exceptions on their way to the caller.
#pragma once

#include <unistd.h>

#include <any>
#include <filesystem>
#include <functional>
#include <future>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <typeinfo>
#include <variant>
#include <vector>

#include "support.hpp"

namespace contract {

struct Unknown : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct NotAnException {
  int value;
};

/// Throws `make()` in a task: what arrives has the same type and text.
template <class E, class P, class Make>
void check_kept(P& pool, Make make) {
  const E original = make();
  const auto task = [make](int) -> int { throw make(); };
  INFO(typeid(E).name());
  try {
    pool.map(task, {1});
    FAIL("nothing was thrown");
  } catch (const E& error) {
    CHECK(std::string(error.what()) == original.what());
    const procyon::Where* place = procyon::where(error);
    REQUIRE(place != nullptr);
    CHECK(place->item() == 0);
    CHECK((place->pid() == getpid()) == !P::isolated);
    CHECK(place->attempt() == 1);
  }
}

template <class E, class P>
void check_text_kept(P& pool) {
  check_kept<E>(pool, [] { return E("the text of it"); });
}
template <class E, class P>
void check_type_kept(P& pool) {
  check_kept<E>(pool, [] { return E(); });
}

}  // namespace contract

TEMPLATE_TEST_CASE("a standard exception keeps its type and its text", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  contract::check_text_kept<std::logic_error>(pool);
  contract::check_text_kept<std::invalid_argument>(pool);
  contract::check_text_kept<std::domain_error>(pool);
  contract::check_text_kept<std::length_error>(pool);
  contract::check_text_kept<std::out_of_range>(pool);
  contract::check_text_kept<std::runtime_error>(pool);
  contract::check_text_kept<std::range_error>(pool);
  contract::check_text_kept<std::overflow_error>(pool);
  contract::check_text_kept<std::underflow_error>(pool);
  contract::check_type_kept<std::exception>(pool);
  contract::check_type_kept<std::bad_alloc>(pool);
  contract::check_type_kept<std::bad_array_new_length>(pool);
  contract::check_type_kept<std::bad_cast>(pool);
  contract::check_type_kept<std::bad_any_cast>(pool);
  contract::check_type_kept<std::bad_typeid>(pool);
  contract::check_type_kept<std::bad_exception>(pool);
  contract::check_type_kept<std::bad_function_call>(pool);
  contract::check_type_kept<std::bad_weak_ptr>(pool);
  contract::check_type_kept<std::bad_optional_access>(pool);
  contract::check_type_kept<std::bad_variant_access>(pool);
}

TEMPLATE_TEST_CASE("a standard exception that holds a code keeps it", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto denied = [] { return std::system_error(EACCES, std::generic_category(), "the file"); };
  contract::check_kept<std::system_error>(pool, denied);
  const auto error =
      contract::caught<std::system_error>([&] { pool.apply([denied] { throw denied(); }); });
  CHECK(error.code() == std::errc::permission_denied);
  contract::check_kept<std::ios_base::failure>(pool, [] { return std::ios_base::failure("read"); });
  contract::check_kept<std::filesystem::filesystem_error>(pool, [] {
    return std::filesystem::filesystem_error("copy", "/from", "/to",
                                             std::make_error_code(std::errc::no_space_on_device));
  });
  contract::check_kept<std::future_error>(
      pool, [] { return std::future_error(std::future_errc::broken_promise); });
  contract::check_kept<std::regex_error>(
      pool, [] { return std::regex_error(std::regex_constants::error_paren); });
}

TEMPLATE_TEST_CASE("the library's own exceptions keep their type and their text", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  contract::check_text_kept<procyon::Error>(pool);
  contract::check_text_kept<procyon::NotShareable>(pool);
  contract::check_text_kept<procyon::PoolClosed>(pool);
  contract::check_text_kept<procyon::Cancelled>(pool);
  contract::check_text_kept<procyon::TimeoutError>(pool);
  contract::check_text_kept<procyon::BrokenPool>(pool);
  contract::check_text_kept<procyon::SharedMemoryError>(pool);
  contract::check_kept<procyon::StartError>(
      pool, [] { return procyon::StartError("fork", EAGAIN, "no process"); });
}

TEMPLATE_TEST_CASE("an exception of an unknown type tells what it was", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto fail = [] { throw contract::Unknown("what it says"); };
  if constexpr (TestType::isolated) {
    const auto error = contract::caught<procyon::RemoteError>([&] { pool.apply(fail); });
    CHECK(error.type_name() == "contract::Unknown");
    CHECK(std::string(error.what()) == "what it says");
  } else {
    const auto error = contract::caught<contract::Unknown>([&] { pool.apply(fail); });
    CHECK(std::string(error.what()) == "what it says");
  }
}

TEMPLATE_TEST_CASE("what is thrown and is no exception arrives all the same", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto throw_number = [] { throw 5; };
  const auto throw_object = [] { throw contract::NotAnException{6}; };
  if constexpr (TestType::isolated) {
    const auto number = contract::caught<procyon::RemoteError>([&] { pool.apply(throw_number); });
    CHECK(number.type_name() == "int");
    const auto object = contract::caught<procyon::RemoteError>([&] { pool.apply(throw_object); });
    CHECK(object.type_name() == "contract::NotAnException");
    CHECK(std::string(object.what()).find("contract::NotAnException") != std::string::npos);
  } else {
    CHECK(contract::caught<int>([&] { pool.apply(throw_number); }) == 5);
    CHECK(contract::caught<contract::NotAnException>([&] { pool.apply(throw_object); }).value == 6);
  }
}

TEMPLATE_TEST_CASE("the failure of the lowest index is thrown, and all items before it have run",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  for (const std::size_t chunk : {0UL, 1UL, 7UL, 5000UL}) {
    for (const std::size_t first : {0UL, 1UL, 500UL, 999UL}) {
      const procyon::Array<int> ran(1000);
      const auto task = [ran, first](std::size_t i) {
        if (i >= first && (i - first) % 3 == 0) throw std::out_of_range(std::to_string(i));
        ran[i] = 1;
        return i;
      };
      std::vector<std::size_t> xs(1000);
      std::iota(xs.begin(), xs.end(), 0);
      try {
        pool.map(task, xs, {.chunk_size = chunk});
        FAIL("nothing was thrown");
      } catch (const std::out_of_range& error) {
        CHECK(error.what() == std::to_string(first));
        CHECK(procyon::where(error)->item() == first);
      }
      CHECK(std::count(ran.begin(), ran.begin() + first, 1) == static_cast<std::ptrdiff_t>(first));
    }
  }
}

TEMPLATE_TEST_CASE("the lowest failure wins in every kind of call", CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto odd = [](std::size_t i) {
    if (i % 2 == 1) throw std::range_error(std::to_string(i));
  };
  const auto is_one = Catch::Matchers::Message("1");
  const std::vector<std::size_t> xs{0, 1, 2, 3};
  CHECK_THROWS_MATCHES(pool.for_index(4, odd), std::range_error, is_one);
  CHECK_THROWS_MATCHES(pool.for_each(odd, xs), std::range_error, is_one);
  CHECK_THROWS_MATCHES(pool.map(odd, xs), std::range_error, is_one);
  CHECK_THROWS_MATCHES(pool.map_async(odd, xs).get(), std::range_error, is_one);
  const procyon::Array<std::size_t> in(xs);
  const auto identity = [odd](std::size_t i) {
    odd(i);
    return i;
  };
  CHECK_THROWS_MATCHES(pool.map_into(identity, in, in), std::range_error, is_one);
}

TEMPLATE_TEST_CASE("a pool works on after failures, and keeps nothing of them", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  const std::size_t before = procyon::shared_heap().used();
  {
    auto pool = contract::make_pool<TestType>();
    const auto some_fail = [](int x) {
      if (x % 5 == 4) throw std::runtime_error(std::string(2000, 'e'));
      return std::to_string(x);
    };
    std::size_t after_first = 0;
    for (int round = 0; round < 200; ++round) {
      CHECK_THROWS_AS(pool.map(some_fail, contract::count_from(0, 20)), std::runtime_error);
      CHECK(pool.map(some_fail, {1, 2, 3}) == std::vector<std::string>{"1", "2", "3"});
      if (round == 20) after_first = procyon::shared_heap().used();
    }
    // What a worker had not let go of yet is still there; what each round leaves would be more.
    CHECK(procyon::shared_heap().used() <= after_first + (64 << 10));
  }
  CHECK(procyon::shared_heap().used() == before);
}

TEMPLATE_TEST_CASE("a very long text of an exception arrives whole", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto error = contract::caught<std::runtime_error>(
      [&] { pool.apply([] { throw std::runtime_error(std::string(2 << 20, 'l')); }); });
  CHECK(std::string(error.what()) == std::string(2 << 20, 'l'));
}
