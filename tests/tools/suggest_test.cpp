// What is said of wrong usage.
#include "procyon/suggest.hpp"

#include <CLI/CLI.hpp>

#include "catch.hpp"
#include "procyon/progress.hpp"

using namespace procyon::tool;
using Catch::Matchers::Contains;

TEST_CASE("distances count letters inserted, deleted, replaced and swapped") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("gem", "gemm") == 1);
  CHECK(edit_distance("bnech", "bench") == 1);
  CHECK(edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("the nearest word is found, and a strange one is not forced on another") {
  const std::vector<std::string> words = {"process", "thread", "serial"};
  CHECK(nearest("proces", words) == "process");
  CHECK(nearest("pr", words) == "process");
  CHECK(nearest("threads", words) == "thread");
  CHECK_FALSE(nearest("xyzzy", words));
  CHECK_FALSE(nearest("", {}));
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

TEST_CASE("a progress line fits a terminal and does not leave its bounds") {
  CHECK(progress_line("x", 0, 12) == "x, 12 s so far");
  CHECK(progress_line("x", 0.5, 3) == "x [###############---------------]  50 %  about 3 s left");
  CHECK(progress_line("x", 7, 3).size() < 80);
}
