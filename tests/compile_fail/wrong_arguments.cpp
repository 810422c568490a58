// Error: the callable cannot be called with these arguments
#include <procyon/procyon.hpp>

#include <string>

int main() {
  procyon::Pool pool(1);
  return pool.apply([](int x, int y) { return x + y; }, std::string("one"));
}
