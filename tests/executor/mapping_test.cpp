// Files that the program maps while its workers run.
#include <procyon/executor/pool.hpp>
#include <procyon/shm/npy.hpp>

#include "catch.hpp"

TEST_CASE("a file loaded after the pool was made is seen by its workers", "[process]") {
  procyon::Pool pool(2);
  pool.apply([] {});
  for (int again = 0; again < 3; ++again) {
    const auto matrix = procyon::load_npy<const float>(PROCYON_TEST_DATA "/dct8.npy");
    const float first = pool.apply([data = matrix.data] { return data[0]; });
    CHECK(first == matrix.data[0]);
    const auto images = procyon::load_npy<const float>(PROCYON_TEST_DATA "/digits.npy");
    const auto pixels = pool.map([data = images.data](std::size_t i) { return data[i]; },
                                 std::views::iota(std::size_t{0}, images.data.size()));
    CHECK(std::equal(pixels.begin(), pixels.end(), images.data.begin()));
  }
}
