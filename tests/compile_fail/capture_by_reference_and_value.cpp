// Error: capture by value
#include <procyon/procyon.hpp>

int main() {
  procyon::Pool pool(1);
  int sum = 0;
  const double factor = 2;
  pool.map([factor, &sum](double x) { sum += static_cast<int>(x * factor); }, {1.0, 2.0});
}
