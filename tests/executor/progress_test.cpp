// The bar of a map that takes long.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <procyon/procyon.hpp>

#include "catch.hpp"

using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;

namespace {

/// Has stderr written to a terminal, or to a pipe, while it lives.
class Listening {
 public:
  explicit Listening(bool terminal) : saved_(dup(STDERR_FILENO)) {
    int ends[2] = {-1, -1};
    if (terminal) {
      ends[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
      if (ends[0] >= 0 && grantpt(ends[0]) == 0 && unlockpt(ends[0]) == 0) {
        ends[1] = open(ptsname(ends[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
      }
    } else if (pipe2(ends, O_CLOEXEC) != 0) {
      ends[0] = -1;
    }
    reader_ = ends[0];
    works_ = ends[1] >= 0;
    if (works_) dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    if (reader_ >= 0) fcntl(reader_, F_SETFL, O_NONBLOCK);
  }
  ~Listening() {
    dup2(saved_, STDERR_FILENO);
    close(saved_);
    close(reader_);
  }
  Listening(const Listening&) = delete;
  Listening& operator=(const Listening&) = delete;

  bool works() const { return works_; }
  /// What has been written since the last call.
  std::string text() const {
    std::string all;
    char bytes[4096];
    ssize_t size = 0;
    while ((size = read(reader_, bytes, sizeof bytes)) > 0) {
      all.append(bytes, static_cast<std::size_t>(size));
    }
    return all;
  }

 private:
  int saved_;
  int reader_ = -1;
  bool works_ = false;
};

int nap(int x) {
  std::this_thread::sleep_for(std::chrono::milliseconds(15));
  return x;
}

/// What a map of thirty naps writes to stderr.
template <class P>
std::string text_of_map(P& pool, const Listening& listening, procyon::MapOptions options) {
  std::vector<int> xs(30, 1);
  const std::vector<int> results = pool.map(nap, xs, options);
  CHECK(results == xs);
  return listening.text();
}

template <class P>
void check_bar(P& pool) {
  const Listening terminal(true);
  if (!terminal.works()) {
    WARN("skipped: no terminal can be had");
    return;
  }
  const auto start = std::chrono::steady_clock::now();
  const std::string text = text_of_map(pool, terminal, {.chunk_size = 1, .progress = true});
  const auto tenths = (std::chrono::steady_clock::now() - start) / std::chrono::milliseconds(100);
  CHECK_THAT(text, Contains("/30") && Contains(" %") && Contains("about "));
  CHECK_THAT(text, EndsWith("\r\x1b[K"));
  CHECK(std::ranges::count(text, '\r') <= tenths + 1);
  CHECK(text_of_map(pool, terminal, {.chunk_size = 1}).empty());
  pool.map([](int x) { return x; }, {1}, {.progress = true});
  CHECK(terminal.text().empty());
  CHECK_THROWS_AS(pool.map(
                      [](int x) -> int {
                        if (x == 29) throw std::domain_error("last");
                        return nap(x);
                      },
                      std::views::iota(0, 30), {.chunk_size = 1, .progress = true}),
                  std::domain_error);
  CHECK_THAT(terminal.text(), EndsWith("\r\x1b[K"));
}

}  // namespace

TEST_CASE("a bar is drawn on a terminal, not too often, and is gone at the end") {
  procyon::ThreadPool threads(1);
  check_bar(threads);
  procyon::SerialPool serial;
  check_bar(serial);
}

TEST_CASE("a bar is drawn for processes too", "[process]") {
  procyon::Pool pool(1);
  check_bar(pool);
}

TEST_CASE("nothing is drawn where nobody looks") {
  const Listening pipe(false);
  REQUIRE(pipe.works());
  procyon::ThreadPool threads(1);
  CHECK(text_of_map(threads, pipe, {.chunk_size = 1, .progress = true}).empty());
  procyon::SerialPool serial;
  CHECK(text_of_map(serial, pipe, {.chunk_size = 1, .progress = true}).empty());
}
