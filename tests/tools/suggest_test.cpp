// What is said of wrong usage.
#include "procyon/suggest.hpp"

#include "catch.hpp"
#include "procyon/progress.hpp"

using namespace procyon::tool;

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
}

TEST_CASE("a progress line fits a terminal and does not leave its bounds") {
  CHECK(progress_line("x", 0, 12) == "x, 12 s so far");
  CHECK(progress_line("x", 0.5, 3) == "x [###############---------------]  50 %  about 3 s left");
  CHECK(progress_line("x", 7, 3).size() < 80);
}
