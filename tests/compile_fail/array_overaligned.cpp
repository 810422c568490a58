// Compiles: what capture_overaligned.cpp is told to do instead.
#include <procyon/procyon.hpp>

struct alignas(128) Line {
  int value = 0;
};

int main() {
  procyon::Pool pool(1);
  const procyon::Array<Line> lines(1);
  return pool.apply([lines] { return lines[0].value; });
}
