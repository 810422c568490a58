// What values of options mean, and which mean nothing.
#include "procyon/parse.hpp"

#include <procyon/base/cpus.hpp>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "catch.hpp"

using namespace procyon::tool;
using Catch::Matchers::Contains;

TEST_CASE("a word that is none of the right ones is answered with the nearest") {
  const std::vector<std::string> words = {"process", "thread", "serial"};
  CHECK_THROWS_WITH(parse_word("--mode", "procss", words),
                    Contains("did you mean --mode process?"));
  CHECK(parse_word("--mode", "thread", words) == 1);
}

TEST_CASE("numbers that are none, or out of range, are refused by name and value") {
  CHECK(parse_count("-j", "12", 1, 96, "-j 2") == 12);
  for (const char* text : {"", "nan", "2.5", "-1", "1e3", " 2", "2 ", "+2", "0x2"}) {
    CAPTURE(text);
    CHECK_THROWS_WITH(parse_count("-j", text, 1, 96, "-j 2"),
                      Contains("whole number") && Contains("try -j 2"));
  }
  for (const char* text : {"0", "97", "99999999999999999999999999"}) {
    CAPTURE(text);
    CHECK_THROWS_WITH(parse_count("-j", text, 1, 96, "-j 2"),
                      Contains(text) && Contains("1 to 96"));
  }
}

TEST_CASE("workers are as many as there are CPUs and the mode allows, unless said otherwise") {
  CHECK(parse_workers("", 1000) == std::min<std::size_t>(procyon::cpu_count(), 1000));
  CHECK(parse_workers("", 1) == 1);
  CHECK(parse_workers("7", 9) == 7);
  CHECK_THROWS_WITH(parse_workers("10", 9), Contains("--workers") && Contains("1 to 9"));
}
