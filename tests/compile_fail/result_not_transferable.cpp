// Error: cannot be sent to a worker process
#include <procyon/procyon.hpp>

#include <memory>

int main() {
  procyon::Pool pool(1);
  return *pool.apply([] { return std::make_unique<int>(1); });
}
