// Error: capture by value
#include <procyon/procyon.hpp>

#include <vector>

int main() {
  procyon::Pool pool(1);
  std::vector<int> out(3);
  pool.for_index(3, [&](std::size_t i) { out[i] = 1; });
}
