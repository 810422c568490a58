// Error: aligned to 64 bytes at most.*procyon::Array
#include <procyon/procyon.hpp>

#include <vector>

struct alignas(128) Line {
  double value = 0;
};

int main() {
  procyon::Pool pool(1);
  const std::vector<Line> lines(3);
  return static_cast<int>(pool.map([](const Line& line) { return line.value; }, lines)[0]);
}
