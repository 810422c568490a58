// Contract: exceptions of the user's types.
#pragma once

#include <array>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include <unistd.h>

#include "support.hpp"

namespace contract {

/// Adds nothing to its base.
struct Named : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// Not made from a text, and not serialisable: it is copied.
class Placeless : public std::logic_error {
 public:
  Placeless(int number, double mass, const char* name)
      : std::logic_error("line " + std::to_string(number) + std::string(100, '.')),
        line(number),
        weight(mass),
        unit(name) {}
  int line;
  double weight;
  const char* unit;
};
/// Copied, with a string that is short or long.
struct WithFile : procyon::Error {
  explicit WithFile(const std::string& what, std::string name = {})
      : Error(what), file(std::move(name)) {}
  std::string file;
};
/// Makes its text itself, out of what its base class says.
struct Decorated : std::runtime_error {
  explicit Decorated(const std::string& what) : runtime_error(what) {
    std::strncpy(text.data(), ("decorated: " + what).c_str(), text.size() - 1);
  }
  const char* what() const noexcept override { return text.data(); }
  std::array<char, 64> text{};
};
/// With a base class behind another one, and two tables of virtual functions.
struct Extra {
  virtual ~Extra() = default;
  virtual int extra() const { return number; }
  int number = 5;
};
struct Behind : Extra, std::runtime_error {
  explicit Behind(int n) : runtime_error("behind") { number = n; }
  int extra() const override { return number + 1000; }
};
/// Serialisable.
struct Detailed : std::runtime_error {
  Detailed() : runtime_error("") {}
  Detailed(const std::string& what, std::vector<std::string> all)
      : runtime_error(what), notes(std::move(all)) {}
  std::vector<std::string> notes;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(notes);
  }
};
/// Nothing that the standard library knows.
struct Foreign {
  int code;
};
template <class A, class B>
struct Pairwise : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct Derived : Named {
  using Named::Named;
};

/// An exception of which a part of the way throws, in a process other than the first.
struct Troubled : std::runtime_error {
  enum Where { copied, saved, loaded };
  Troubled() : runtime_error("") {}
  explicit Troubled(Where when) : runtime_error("trouble"), place(when) {}
  Where place = copied;
  template <class Archive>
  void save(Archive& archive) const {
    if (place == saved) throw std::runtime_error("cannot be saved");
    archive(place);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(place);
    if (place == loaded) throw std::runtime_error("cannot be loaded");
  }
};
/// Copying it throws while the flag is down.
struct Uncopied : std::runtime_error {
  inline static bool may_be_copied = true;
  explicit Uncopied(long n) : runtime_error("not copied"), number(n) {}
  Uncopied(const Uncopied& other) : runtime_error(other), number(other.number) {
    if (!may_be_copied) throw 5;
  }
  Uncopied& operator=(const Uncopied&) = delete;
  long number;
};

namespace {
struct Unnamed : std::runtime_error {
  using std::runtime_error::runtime_error;
};
}  // namespace

PROCYON_EXCEPTION(Named)
PROCYON_EXCEPTION(Placeless);
PROCYON_EXCEPTION(contract::WithFile)
PROCYON_EXCEPTION(Decorated)
PROCYON_EXCEPTION(Behind)
PROCYON_EXCEPTION(Detailed)
PROCYON_EXCEPTION(Foreign)
PROCYON_EXCEPTION(Pairwise<int, char>)
PROCYON_EXCEPTION(Troubled)
PROCYON_EXCEPTION(Uncopied)
PROCYON_EXCEPTION(Unnamed)

template <class E, class P, class F>
E thrown_by(P& pool, F throws) {
  try {
    pool.map([throws](int i) { return i == 2 ? throws() : 0; }, {0, 1, 2});
  } catch (const E& error) {
    const auto* place = dynamic_cast<const procyon::Where*>(&error);
    REQUIRE(place != nullptr);
    CHECK(place->item() == 2);
    CHECK((place->pid() == getpid()) == !P::isolated);
    return error;
  }
  FAIL("nothing was thrown");
  throw 0;
}

}  // namespace contract

TEMPLATE_TEST_CASE("a registered exception keeps its type, its text and its members", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  using contract::thrown_by;
  auto pool = contract::make_pool<TestType>();
  for (int round = 0; round < 3; ++round) {
    const auto named = [] { return throw contract::Named("the text"), 0; };
    CHECK(std::string(thrown_by<contract::Named>(pool, named).what()) == "the text");
    const auto copied = thrown_by<contract::Placeless>(
        pool, [] { return throw contract::Placeless(7, 2.5, "kg"), 0; });
    CHECK(copied.what() == "line 7" + std::string(100, '.'));
    CHECK(copied.line == 7);
    CHECK(copied.weight == 2.5);
    CHECK(std::string(copied.unit) == "kg");
    const auto detailed = thrown_by<contract::Detailed>(pool, [] {
      return throw contract::Detailed("details", {"one", std::string(100, '2')}), 0;
    });
    CHECK(detailed.notes == std::vector<std::string>{"one", std::string(100, '2')});
    const auto text_kept = [](const auto& error, const std::string& text) {
      CHECK(error.what() == text);
    };
    text_kept(
        thrown_by<contract::Decorated>(pool, [] { return throw contract::Decorated("made"), 0; }),
        "decorated: made");
    const auto behind =
        thrown_by<contract::Behind>(pool, [] { return throw contract::Behind(1), 0; });
    text_kept(behind, "behind");
    CHECK(behind.extra() == 1001);
    text_kept(thrown_by<contract::Unnamed>(pool, [] { return throw contract::Unnamed("u"), 0; }),
              "u");
    using Pairwise = contract::Pairwise<int, char>;
    text_kept(thrown_by<Pairwise>(pool, [] { return throw Pairwise("pair"), 0; }), "pair");
  }
}

TEMPLATE_TEST_CASE("what() of a rebuilt exception is the original's before it is copied too",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  try {
    pool.apply([] { throw contract::Detailed("what it says", {}); });
    FAIL("nothing was thrown");
  } catch (const std::exception& error) {
    CHECK(std::string(error.what()) == "what it says");
    CHECK(procyon::where(error)->attempt() == 1);
    CHECK(dynamic_cast<const contract::Detailed*>(&error) != nullptr);
  }
}

TEMPLATE_TEST_CASE("a registered exception with a member in private memory keeps type and text",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto short_name = contract::thrown_by<contract::WithFile>(
      pool, [] { return throw contract::WithFile("short", "a.txt"), 0; });
  CHECK(std::string(short_name.what()) == "short");
#if defined(__SANITIZE_ADDRESS__)
  WARN("skipped: instrumented code leaves addresses in the free part of short strings");
#else
  CHECK(short_name.file == "a.txt");
#endif
  const auto long_name = contract::thrown_by<contract::WithFile>(
      pool, [] { return throw contract::WithFile("long", std::string(200, 'f')), 0; });
  CHECK(std::string(long_name.what()) == "long");
  CHECK(long_name.file == (TestType::isolated ? "" : std::string(200, 'f')));
}

TEMPLATE_TEST_CASE("what is registered and no std::exception arrives as itself", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto fail = [] { throw contract::Foreign{42}; };
  CHECK(contract::caught<contract::Foreign>([&] { pool.apply(fail); }).code == 42);
  CHECK(contract::caught<procyon::Where>([&] { pool.apply(fail); }).attempt() == 1);
}

TEMPLATE_TEST_CASE("a type derived from a registered one is not registered with it", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto fail = [] { throw contract::Derived("derived"); };
  if constexpr (TestType::isolated) {
    const auto error = contract::caught<procyon::RemoteError>([&] { pool.apply(fail); });
    CHECK(error.type_name() == "contract::Derived");
    CHECK(std::string(error.what()) == "derived");
  } else {
    CHECK(std::string(contract::caught<contract::Derived>([&] { pool.apply(fail); }).what()) ==
          "derived");
  }
}

TEMPLATE_TEST_CASE("an exception that cannot be saved, loaded or copied arrives all the same",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  using contract::Troubled;
  using contract::Uncopied;
  auto pool = contract::make_pool<TestType>();
  for (const auto place : {Troubled::saved, Troubled::loaded}) {
    const auto fail = [place] { throw Troubled(place); };
    if constexpr (TestType::isolated) {
      const auto error = contract::caught<procyon::RemoteError>([&] { pool.apply(fail); });
      CHECK(error.type_name() == "contract::Troubled");
      CHECK(std::string(error.what()) == "trouble");
    } else {
      CHECK(contract::caught<Troubled>([&] { pool.apply(fail); }).place == place);
    }
  }
  const auto fail = [] {
    Uncopied::may_be_copied = false;
    throw Uncopied(5);
  };
  Uncopied::may_be_copied = true;
  try {
    pool.apply(fail);
    FAIL("nothing was thrown");
  } catch (const std::exception& error) {
    CHECK(std::string(error.what()) == "not copied");
    CHECK((dynamic_cast<const Uncopied*>(&error) == nullptr) == TestType::isolated);
  }
  Uncopied::may_be_copied = true;
  CHECK(pool.apply([] { return 4; }) == 4);
}

TEMPLATE_TEST_CASE("an exception that went through a pool inside a task keeps its type",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto inner = [](auto fail) {
    return [fail] {
      procyon::SerialPool serial;
      serial.apply(fail);
      return 0;
    };
  };
  const auto text = [&](auto fail, auto type) {
    using E = decltype(type);
    return std::string(contract::thrown_by<E>(pool, inner(fail)).what());
  };
  CHECK(text([] { throw std::out_of_range("range"); }, std::out_of_range("")) == "range");
  CHECK(text([] { throw std::bad_alloc(); }, std::bad_alloc()) == std::bad_alloc().what());
  CHECK(text([] { throw contract::Named("n"); }, contract::Named("")) == "n");
  CHECK(text([] { throw contract::Detailed("d", {}); }, contract::Detailed()) == "d");
  const procyon::RemoteError remote("a::Type", "remote");
  const auto error = contract::thrown_by<procyon::RemoteError>(
      pool, inner([] { throw procyon::RemoteError("a::Type", "remote"); }));
  CHECK(error.type_name() == "a::Type");
}

TEMPLATE_TEST_CASE("a failure can be asked for twice, and leaves nothing behind", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto fail = [] { return throw contract::Placeless(3, 1, "m"), 0; };
  const auto failed = pool.apply_async(fail);
  for (int i = 0; i < 3; ++i) {
    const auto error = contract::caught<contract::Placeless>([&] { failed.get(); });
    CHECK(error.line == 3);
    CHECK(error.what() == "line 3" + std::string(100, '.'));
  }
  std::size_t settled = 0;
  for (int i = 0; i < 300; ++i) {
    CHECK_THROWS_AS(pool.apply(fail), contract::Placeless);
    CHECK_THROWS_AS(pool.apply_async([] { throw contract::Detailed("x", {"y"}); }).get(),
                    contract::Detailed);
    if (i == 30) settled = procyon::shared_heap().used();
  }
  CHECK(procyon::shared_heap().used() <= settled + (64 << 10));
}

TEMPLATE_TEST_CASE("within one process an exception arrives with all that it holds", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto fail = [] {
    throw std::filesystem::filesystem_error("copy", "/from", "/to", std::error_code());
  };
  const auto error = contract::caught<std::filesystem::filesystem_error>([&] { pool.apply(fail); });
  CHECK(error.path1() == (TestType::isolated ? "" : "/from"));
}
