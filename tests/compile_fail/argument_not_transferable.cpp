// Error: cannot be sent to a worker process
#include <procyon/procyon.hpp>

#include <memory>
#include <vector>

int main() {
  procyon::Pool pool(1);
  const std::vector<std::shared_ptr<int>> pointers(3);
  pool.map([](const std::shared_ptr<int>& p) { return *p; }, pointers);
}
