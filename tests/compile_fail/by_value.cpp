// Compiles: the same as capture_by_reference.cpp, by value.
#include <procyon/procyon.hpp>

int main() {
  procyon::Pool pool(1);
  const int base = 1;
  return pool.apply([base](int x) { return x + base; }, 2);
}
